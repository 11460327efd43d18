"""One layer of the stack: attention between tokens, then a feed-forward layer at each.

Both add to the residual stream; where the stream is normalised differs between eras.
"""

from torch import Tensor, nn

from hornbook.model.attention import Attention, Sight
from hornbook.model.config import ModelConfig
from hornbook.model.experts import Experts
from hornbook.model.feedforward import feed_forward
from hornbook.model.latent import LatentAttention
from hornbook.model.norm import norm


class Block(nn.Module):
    """Pre-norm: each part reads a normalised copy of the stream (GPT-2, Llama, Qwen)."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.attention_norm = norm(config)
        if config.latent:
            self.attention = LatentAttention(config, layer, config.latent)
        else:
            self.attention = Attention(config, layer)
        self.feed_forward_norm = norm(config)
        if config.experts:
            self.feed_forward = Experts(config, config.experts)
        else:
            self.feed_forward = feed_forward(config)

    def forward(self, x: Tensor, sight: Sight) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        x = x + self.attention(self.attention_norm(x), sight)
        return x + self.feed_forward(self.feed_forward_norm(x))


class PostNormBlock(Block):
    """Post-norm: the stream itself is normalised after each part ("Add & Norm", 2017)."""

    def forward(self, x: Tensor, sight: Sight) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        x = self.attention_norm(x + self.attention(x, sight))
        return self.feed_forward_norm(x + self.feed_forward(x))


class SandwichBlock(Block):
    """Sandwich: both what a part reads and what it adds are normalised (Gemma 2)."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__(config, layer)
        self.attention_out_norm = norm(config)
        self.feed_forward_out_norm = norm(config)

    def forward(self, x: Tensor, sight: Sight) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        mixed = self.attention(self.attention_norm(x), sight)
        x = x + self.attention_out_norm(mixed)
        new = self.feed_forward(self.feed_forward_norm(x))
        return x + self.feed_forward_out_norm(new)


BLOCKS = {"pre": Block, "post": PostNormBlock, "sandwich": SandwichBlock}
