"""Rotary position embeddings (RoPE, arXiv 2104.09864), also scaled to longer contexts.

Each pair of features of a query or key is a point in the plane, turned by an angle that
grows with the token's position; the product of a query and a key then depends on their
distance only. Pair ``i`` couples feature ``i`` with ``i + d_head / 2``, the convention of
Llama and Qwen in Hugging Face's layout.

Beyond the trained context, slow pairs reach angles never seen. The scalings differ in
which pairs they slow down: all alike (linear, arXiv 2306.15595), the slower the more (NTK),
or only those that turn less than once in the trained context, with a blend between
(llama3; YaRN, arXiv 2309.00071, which also sharpens the scores a little).
"""

import math

import torch
from torch import Tensor, nn

from hornbook.model.config import ModelConfig, RopeScaling
from hornbook.model.cpu import fused


class Rotary(nn.Module):
    """The table of turns, computed once; ``cos`` and ``sin`` are (context, width / 2)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig, width: int):
        super().__init__()
        speeds, scale = frequencies(width, config.rope_base, config.rope_scaling)
        positions = torch.arange(config.context_length, dtype=torch.float64)
        angles = torch.outer(positions, speeds)
        self.register_buffer("cos", (scale * angles.cos()).float(), persistent=False)
        self.register_buffer("sin", (scale * angles.sin()).float(), persistent=False)

    def forward(self, time: int, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """The turns of ``positions`` (batch, time), or of 0..time-1 when None.

        Two tables that broadcast over (batch, heads, time, width / 2).
        """
        if positions is None:
            return self.cos[:time], self.sin[:time]
        return self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)


def rotate(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Turn ``x`` (batch, heads, time, width) by the angles of its positions."""
    cos, sin = turns
    if x.ndim == 4 and cos.ndim in (2, 4) and fused.fits(x, cos, sin):
        return fused.turn(x, cos, sin)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).type_as(x)


def frequencies(
    width: int, base: float, scaling: RopeScaling | None
) -> tuple[Tensor, float]:
    """Radians per token of each pair, (width / 2,) float64, and a factor for the table."""
    exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    if scaling is None:
        return base**-exponents, 1.0
    factor = scaling.factor
    if scaling.kind == "ntk":
        return ntk_base(width, base, factor) ** -exponents, 1.0
    speeds = base**-exponents
    if scaling.kind == "linear":
        return speeds / factor, 1.0
    if scaling.kind == "llama3":
        low, high = scaling.low or 1.0, scaling.high or 4.0
        turns = scaling.original * speeds / (2 * math.pi)
        kept = ((turns - low) / (high - low)).clamp(0, 1)
        return speeds * (kept + (1 - kept) / factor), 1.0
    kept = _yarn_share(width, base, scaling)
    return speeds * (kept + (1 - kept) / factor), sharpness(scaling)


def sharpness(scaling: RopeScaling) -> float:
    """What YaRN multiplies its table by: longer contexts need sharper scores."""
    return scaling.sharpness or 1 + 0.1 * math.log(max(scaling.factor, 1.0))


def ntk_base(width: int, base: float, factor: float) -> float:
    """The base that slows the slowest pair by ``factor`` and the fastest not at all."""
    return base * factor ** (width / (width - 2))


def _yarn_share(width: int, base: float, scaling: RopeScaling) -> Tensor:
    """How much of its own speed each pair keeps: 1 for the fastest, 0 for the slowest.

    The blend runs between the whole pair numbers that turn ``high`` and ``low`` times
    within the original context.
    """

    def pair(turns: float) -> float:
        wavelength = scaling.original / (turns * 2 * math.pi)
        return width * math.log(wavelength) / (2 * math.log(base))

    first = max(math.floor(pair(scaling.high or 32.0)), 0)
    last = min(math.ceil(pair(scaling.low or 1.0)), width - 1)
    pairs = torch.arange(width // 2, dtype=torch.float64)
    return 1 - ((pairs - first) / max(last - first, 0.001)).clamp(0, 1)
