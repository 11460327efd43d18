"""The feed-forward layer: what a block computes at each position on its own."""

import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model import sizes
from hornbook.model.config import ModelConfig


class SwiGLU(nn.Module):
    """A gated layer: ``down(silu(gate(x)) * up(x))`` (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = sizes.d_ff(config)
        self.gate = nn.Linear(config.d_model, width, bias=False)
        self.up = nn.Linear(config.d_model, width, bias=False)
        self.down = nn.Linear(width, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


class SquaredReLU(nn.Module):
    """``down(relu(up(x)) ** 2)`` (Primer, arXiv 2109.08668)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = sizes.d_ff(config)
        self.up = nn.Linear(config.d_model, width, bias=False)
        self.down = nn.Linear(width, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        return self.down(F.relu(self.up(x)).square())


FEED_FORWARD = {"swiglu": SwiGLU, "relu2": SquaredReLU}
