"""Positions that are added to the embeddings, and ALiBi's penalties on distance.

Rotary positions, the default, are in rope.py.
"""

import torch
from torch import Tensor, nn

from hornbook.model.config import ModelConfig


class LearnedPositions(nn.Module):
    """One trained vector per place in the context, as in GPT-2."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.table = nn.Embedding(config.context_length, config.d_model)

    def forward(self, x: Tensor, positions: Tensor | None) -> Tensor:
        """Add the vectors of ``positions`` (batch, time), 0..time-1 when None, to ``x``."""
        if positions is None:
            return x + self.table.weight[: x.shape[1]]
        return x + self.table(positions)


class SinusoidalPositions(nn.Module):
    """Sines and cosines of growing wavelength, fixed (arXiv 1706.03762)."""

    table: Tensor

    def __init__(self, config: ModelConfig):
        super().__init__()
        exponents = torch.arange(0, config.d_model, 2) / config.d_model
        places = torch.arange(config.context_length).float()
        angles = torch.outer(places, 10_000.0**-exponents)
        table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)
        table = table[:, : config.d_model].contiguous()
        self.register_buffer("table", table, persistent=False)

    def forward(self, x: Tensor, positions: Tensor | None) -> Tensor:
        """Add the vectors of ``positions`` (batch, time), 0..time-1 when None, to ``x``."""
        if positions is None:
            return x + self.table[: x.shape[1]].type_as(x)
        return x + self.table[positions].type_as(x)


POSITIONS = {"learned": LearnedPositions, "sinusoidal": SinusoidalPositions}


def alibi_slopes(n_heads: int) -> list[float]:
    """How fast each head's scores fall with distance (ALiBi, arXiv 2108.12409).

    A geometric sequence from 2^(-8/n); for head counts that aren't powers of two, the
    paper's interleaving of the next two powers' sequences.
    """
    power = 1 << (n_heads.bit_length() - 1)
    slopes = [2.0 ** (-8 * (h + 1) / power) for h in range(power)]
    between = [2.0 ** (-4 * (h + 1) / power) for h in range(0, 2 * power, 2)]
    return slopes + between[: n_heads - power]
