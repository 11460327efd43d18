"""Shortcuts from the token itself to the depth of the stack, for the speedrun preset.

Deep in a stack a token's own identity has been diluted by what attention mixed into it.
Two cheap ways bring it back, both found by people who raced to train small models: each
layer reads a learned share of the stream and of the embedding (:class:`Skips`), and every
other layer adds an embedding of the token to its values (:class:`ValueEmbedding`; after
the value residuals of arXiv 2410.17897).
"""

import torch
from torch import Tensor, nn

from hornbook.model import sizes
from hornbook.model.config import ModelConfig


class Skips(nn.Module):
    """What enters layer ``n``: ``stream[n]`` of the stream, ``start[n]`` of the embedding.

    Begins as the plain stack does: all of the stream and nothing else.
    """

    def __init__(self, n_layers: int):
        super().__init__()
        self.stream = nn.Parameter(torch.ones(n_layers))
        self.start = nn.Parameter(torch.zeros(n_layers))

    def forward(self, x: Tensor, start: Tensor, layer: int) -> Tensor:
        """Both (batch, time, d_model), to the same shape."""
        mixed = self.stream[layer] * x + self.start[layer] * start
        return mixed.type_as(x)


class ValueEmbedding(nn.Module):
    """What a token adds to its own values in one layer, each head with its own share."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = config.n_kv_heads * sizes.d_head(config)
        self.n_heads = config.n_kv_heads
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.share = nn.Parameter(torch.ones(config.n_kv_heads))

    def forward(self, tokens: Tensor) -> Tensor:
        """Ids (batch, time) to (batch, time, kv heads, d_head)."""
        rows = self.embedding(tokens).unflatten(-1, (self.n_heads, -1))
        return rows * self.share[:, None]
