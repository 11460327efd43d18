"""The decoder-only transformer: embeddings, a stack of blocks, a head.

Reading order: :class:`Transformer`, :class:`Block`, then attention.py and feedforward.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.core.errors import UserError
from hornbook.model import sizes
from hornbook.model.attention import Attention, Cache, Sight, causal_mask
from hornbook.model.config import ModelConfig
from hornbook.model.feedforward import FEED_FORWARD
from hornbook.model.init import initialise
from hornbook.model.norm import RMSNorm
from hornbook.model.position import Rotary


class Block(nn.Module):
    """Attention between tokens, then a feed-forward layer at each token.

    Both read a normalised copy of the residual stream and add to it ("pre-norm").
    """

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model, config.norm_eps)
        self.attention = Attention(config, layer)
        self.feed_forward_norm = RMSNorm(config.d_model, config.norm_eps)
        self.feed_forward = FEED_FORWARD[config.mlp](config)

    def forward(self, x: Tensor, sight: Sight) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        x = x + self.attention(self.attention_norm(x), sight)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Transformer(nn.Module):
    """A language model: for every token, the logits of the one that follows."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        check(config)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.rotary = Rotary(
            sizes.d_head(config), config.context_length, config.rope_base
        )
        self.blocks = nn.ModuleList(
            Block(config, layer) for layer in range(config.n_layers)
        )
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        self.head = None
        if not config.tied:
            self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        initialise(self, config.tied)

    def forward(
        self,
        tokens: Tensor,
        segments: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Logits (batch, time, vocab_size) of the token after each of ``tokens``.

        tokens    (batch, time) int64, at most ``context_length`` of them
        segments  (batch, time) int64: a token sees only its own segment's earlier tokens,
                  which keeps documents packed into one row apart
        cache     holds the tokens before these, and takes them in
        """
        return self.unembed(self.hidden(tokens, segments, cache))

    def hidden(
        self,
        tokens: Tensor,
        segments: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The last block's normalised output, (batch, time, d_model)."""
        sight = self._sight(tokens.shape[1], segments, cache)
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, sight)
        return self.norm(x)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., vocab_size) from hidden states (..., d_model)."""
        weight = self.embedding.weight if self.head is None else self.head.weight
        return F.linear(hidden, weight)

    def _sight(self, time: int, segments: Tensor | None, cache: Cache | None) -> Sight:
        limit = self.config.context_length
        if time > limit:
            raise ValueError(f"{time} tokens exceed the context length of {limit}")
        positions = None if cache is None else cache.positions
        mask = None
        if cache is not None:
            places = torch.arange(cache.length, device=cache.positions.device)
            mask = places <= cache.positions[:, None, :, None]
        elif segments is not None:
            same = segments[:, :, None] == segments[:, None, :]
            mask = (same & causal_mask(time, segments.device)).unsqueeze(1)
        return Sight(self.rotary(time, positions), mask, cache)


def check(config: ModelConfig) -> None:
    """Refuse a shape that can't be built, with a :class:`UserError` naming the key."""
    if not config.vocab_size:
        raise UserError("'vocab_size' is 0: set it to the tokenizer's.")
    if config.n_heads % config.n_kv_heads:
        raise UserError(
            f"'n_heads' ({config.n_heads}) must be a multiple of 'n_kv_heads' "
            f"({config.n_kv_heads})."
        )
    sizes.d_head(config)
