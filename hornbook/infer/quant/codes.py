"""A matrix as small integers and one scale for each group of columns.

``weight = scale * code``; within a group of 32 or 64 columns of a row the largest weight
sets the scale, so one outlier spoils only its own group.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST = {8: 127, 4: 7}  # codes reach from -LARGEST (4 bits: -8) to LARGEST
LOWEST = {8: -127, 4: -8}


@dataclass(frozen=True)
class Codes:
    """A quantized matrix.

    codes   (outputs, inputs) int8
    scales  (outputs, inputs / group, rounded up) float16
    """

    codes: Tensor
    scales: Tensor
    bits: int
    group: int

    def scales_by(self, group: int) -> Tensor:
        """The scales repeated for narrower groups of ``group`` columns."""
        wanted = -(-self.codes.shape[1] // group)
        return self.scales.repeat_interleave(self.group // group, dim=1)[:, :wanted]

    def weight(self) -> Tensor:
        """The matrix they stand for, (outputs, inputs) float32."""
        (outputs, inputs), groups = self.codes.shape, self.scales.shape[1]
        weight = self.codes.new_zeros(outputs, groups * self.group, dtype=torch.float32)
        weight[:, :inputs] = self.codes
        weight.view(outputs, groups, -1).mul_(self.scales.float().unsqueeze(2))
        return weight[:, :inputs]


def quantize(weight: Tensor, bits: int, group: int) -> Codes:
    """Round each weight to the nearest code; weight (outputs, inputs)."""
    scales = group_scales(weight, bits, group)
    return Codes(round_to(weight, scales, bits, group), scales, bits, group)


def round_to(weight: Tensor, scales: Tensor, bits: int, group: int) -> Tensor:
    """The codes (int8) nearest to ``weight`` under given scales."""
    steps = scales.float().repeat_interleave(group, dim=1)[:, : weight.shape[1]]
    codes = torch.where(steps == 0, 0.0, weight.float() / steps)
    return codes.round().clamp(LOWEST[bits], LARGEST[bits]).to(torch.int8)


def group_scales(weight: Tensor, bits: int, group: int) -> Tensor:
    """A scale for each group, (outputs, groups) float16, with the least squared error.

    With 8 bits the largest weight gets the largest code. With 4 bits it gets -8, whichever
    its sign (a negative scale then), because that range is one wider; and a few smaller scales
    are tried as well, since clipping one weight can serve the other 31.
    """
    outputs, inputs = weight.shape
    groups = -(-inputs // group)
    padded = weight.new_zeros(outputs, groups * group, dtype=torch.float32)
    padded[:, :inputs] = weight
    parts = padded.view(outputs, groups, group)
    extreme = parts.gather(2, parts.abs().argmax(dim=2, keepdim=True)).squeeze(2)
    if bits == 8:
        return (extreme.abs() / LARGEST[8]).half()
    best = (extreme / LOWEST[4]).half()
    least = _error(parts, best)
    for share in (0.95, 0.9, 0.85, 0.8):
        scales = (extreme * share / LOWEST[4]).half()
        error = _error(parts, scales)
        best = torch.where(error < least, scales, best)
        least = torch.minimum(error, least)
    return best


def _error(parts: Tensor, scales: Tensor) -> Tensor:
    """The squared error (outputs, groups) of rounding to 4 bits with these scales."""
    steps = scales.float().unsqueeze(2)
    codes = torch.where(steps == 0, 0.0, parts / steps).round().clamp(-8, 7)
    return (codes * steps - parts).square().sum(dim=2)
