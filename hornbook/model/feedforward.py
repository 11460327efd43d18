"""The feed-forward layer: what a block computes at each position on its own."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model import sizes
from hornbook.model.cast import cast_once
from hornbook.model.config import ModelConfig
from hornbook.model.cpu import fused


def square_relu(x: Tensor) -> Tensor:
    """Primer's activation (arXiv 2109.08668)."""
    return fused.square_relu(x) if fused.fits(x) else F.relu(x).square()


ACTIVATIONS = {
    "swiglu": F.silu,
    "geglu": partial(F.gelu, approximate="tanh"),
    "gelu": partial(F.gelu, approximate="tanh"),  # GPT-2's
    "relu": F.relu,
    "relu2": square_relu,
}


class FeedForward(nn.Module):
    """``down(activation(up(x)))``."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width, bias = sizes.d_ff(config), config.bias == "all"
        self.activation = ACTIVATIONS[config.mlp]
        self.up = nn.Linear(config.d_model, width, bias)
        self.down = nn.Linear(width, config.d_model, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        return self.down(self.activation(self.up(x)))


class GatedFeedForward(FeedForward):
    """``down(activation(gate(x)) * up(x))``: SwiGLU, GeGLU (arXiv 2002.05202)."""

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        self.gate = nn.Linear(config.d_model, sizes.d_ff(config), config.bias == "all")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        x = cast_once(x)
        gate, up = self.gate(x), self.up(x)
        if self.activation is F.silu and fused.fits(gate, up):
            return self.down(fused.swish_gate(gate, up))
        return self.down(self.activation(gate) * up)


def feed_forward(config: ModelConfig) -> nn.Module:
    """One dense feed-forward layer, as configured."""
    return (GatedFeedForward if sizes.gated(config) else FeedForward)(config)
