"""Causal self-attention with grouped queries: how a token looks at the ones before it.

Several query heads share one key and one value head (GQA, arXiv 2305.13245), which makes
the cache of a running conversation smaller. :func:`attend` is the fast path, PyTorch's
fused kernel; :func:`attend_plainly` writes the same thing out and is what it is tested
against.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.norm import RMSNorm
from hornbook.model.position import rotate


class Cache(Protocol):
    """Keys and values of earlier tokens, as the model sees them (see infer/kvcache.py)."""

    positions: Tensor  # (batch, time) int64: where the new tokens stand
    length: int  # how many positions :meth:`extend` will return

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values; return all (batch, kv heads, past, d_head).

        Index ``j`` of the third dimension is position ``j``.
        """
        ...


@dataclass(frozen=True)
class Sight:
    """Where the tokens of one forward pass stand and what they may see; same in all layers.

    turns  the rotary tables of their positions
    mask   bool, broadcasts to (batch, heads, time, past): may see; None for plain causal
    cache  where earlier keys and values are, or None
    """

    turns: tuple[Tensor, Tensor]
    mask: Tensor | None
    cache: Cache | None


class Attention(nn.Module):
    """Queries, keys and values by head, with RMSNorm on queries and keys if asked.

    Normalised queries and keys bound the scores, which keeps high learning rates stable
    (arXiv 2302.05442).
    """

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer = layer
        self.d_head = sizes.d_head(config)
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        queries, keys = self.n_heads * self.d_head, self.n_kv_heads * self.d_head
        self.query = nn.Linear(config.d_model, queries, bias=False)
        self.key = nn.Linear(config.d_model, keys, bias=False)
        self.value = nn.Linear(config.d_model, keys, bias=False)
        self.output = nn.Linear(queries, config.d_model, bias=False)
        self.query_norm = self.key_norm = nn.Identity()
        if config.qk_norm:
            self.query_norm = RMSNorm(self.d_head, config.norm_eps)
            self.key_norm = RMSNorm(self.d_head, config.norm_eps)

    def forward(self, x: Tensor, sight: Sight) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        batch, time, _ = x.shape
        heads = (batch, time, -1, self.d_head)
        query = self.query_norm(self.query(x).view(heads)).transpose(1, 2)
        key = self.key_norm(self.key(x).view(heads)).transpose(1, 2)
        value = self.value(x).view(heads).transpose(1, 2)
        query, key = rotate(query, sight.turns), rotate(key, sight.turns)
        if sight.cache is not None:
            key, value = sight.cache.extend(self.layer, key, value)
        mixed = attend(query, key, value, sight.mask)
        return self.output(mixed.transpose(1, 2).reshape(batch, time, -1))


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Mix ``value`` by the match of ``query`` and ``key``, with PyTorch's fused kernel.

    ``query`` is (batch, heads, time, d_head), ``key`` and ``value`` (batch, kv heads, past,
    d_head), the result like ``query``. ``mask`` None: plain causal, ``past == time``.
    """
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def attend_plainly(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> Tensor:
    """:func:`attend`, written out: scores, mask, softmax, weighted mean of the values."""
    group = query.shape[1] // key.shape[1]
    key = key.repeat_interleave(group, dim=1)
    value = value.repeat_interleave(group, dim=1)
    if mask is None:
        mask = causal_mask(query.shape[2], query.device)
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    scores = scores.masked_fill(~mask, float("-inf"))
    return torch.softmax(scores, dim=-1) @ value


def causal_mask(time: int, device: torch.device) -> Tensor:
    """(time, time) bool: True where the column is not after the row."""
    return torch.ones(time, time, dtype=torch.bool, device=device).tril()
