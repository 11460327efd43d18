"""Rotary position embeddings (RoPE, arXiv 2104.09864).

Each pair of features of a query or key is a point in the plane, turned by an angle that
grows with the token's position; the product of a query and a key then depends on their
distance only. Pair ``i`` couples feature ``i`` with ``i + d_head / 2``, the convention of
Llama and Qwen in Hugging Face's layout.
"""

import torch
from torch import Tensor, nn


class Rotary(nn.Module):
    """The table of turns, computed once; ``cos`` and ``sin`` are (context, d_head / 2)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, d_head: int, context_length: int, base: float):
        super().__init__()
        exponents = torch.arange(0, d_head, 2, dtype=torch.float64) / d_head
        positions = torch.arange(context_length, dtype=torch.float64)
        angles = torch.outer(positions, base**-exponents)
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, time: int, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """The turns of ``positions`` (batch, time), or of 0..time-1 when None.

        Two tables that broadcast over (batch, heads, time, d_head / 2).
        """
        if positions is None:
            return self.cos[:time], self.sin[:time]
        return self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)


def rotate(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Turn ``x`` (batch, heads, time, d_head) by the angles of its positions."""
    cos, sin = turns
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).type_as(x)
