"""Normalisation: keeping the residual stream at one scale."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model.config import ModelConfig
from hornbook.model.cpu import fused


class RMSNorm(nn.Module):
    """Divide each vector by its root mean square, then scale (arXiv 1910.07467).

    Computed in float32 whatever the input: squares of bfloat16 lose too much.
    """

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of ``x``; the shape and dtype stay."""
        if fused.fits(x, self.weight) and self.weight.dtype == torch.float32:
            return fused.rms_norm(x, self.weight, self.eps)
        wide = x if x.dtype == torch.float64 else x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight).type_as(x)


class LayerNorm(nn.Module):
    """Take the mean away, divide by the deviation, scale and shift (arXiv 1607.06450)."""

    def __init__(self, width: int, eps: float, bias: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of ``x``; the shape and dtype stay."""
        wide = x if x.dtype == torch.float64 else x.float()
        normed = F.layer_norm(wide, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.type_as(x)


def norm(config: ModelConfig) -> nn.Module:
    """A norm of the residual stream, as configured."""
    if config.norm == "rmsnorm":
        return RMSNorm(config.d_model, config.norm_eps)
    return LayerNorm(config.d_model, config.norm_eps, config.bias == "all")
