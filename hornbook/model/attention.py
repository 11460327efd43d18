"""Causal self-attention with grouped queries: how a token looks at the ones before it.

Several query heads share one key and one value head (GQA, arXiv 2305.13245), which makes
the cache of a running conversation smaller. :func:`attend` is the fast path, PyTorch's
fused kernel; :func:`attend_plainly` writes the same thing out and is what it is tested
against, and :func:`attend_by_head` is the smallest of all, one head at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model import sizes
from hornbook.model.blocked import BLOCK, BlockedAttention
from hornbook.model.cast import cast_once
from hornbook.model.config import ModelConfig
from hornbook.model.mask import windows
from hornbook.model.norm import RMSNorm
from hornbook.model.paths import FlashRule, FlexRule
from hornbook.model.rope import rotate
from hornbook.model.skips import ValueEmbedding

Mask = Tensor | FlexRule | FlashRule | None

SHORT_COMPILED = 512  # tokens: up to here the compiler's own fusing is the fastest


class Cache(Protocol):
    """Keys and values of earlier tokens, as the model sees them (see infer/kvcache.py)."""

    positions: Tensor  # (batch, time) int64: where the new tokens stand
    length: int  # how many positions :meth:`extend` will return

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values; return all (batch, kv heads, past, width).

        Index ``j`` of the third dimension is position ``j``.
        """
        ...


@dataclass(frozen=True)
class Sight:
    """Where the tokens of one forward pass stand and what they may see.

    turns  the rotary tables of their positions, or None
    masks  for each window that a layer may have, its mask (mask.py) or rule (paths.py)
    cache  where earlier keys and values are, or None
    tokens their ids (batch, time), for value embeddings
    """

    turns: tuple[Tensor, Tensor] | None
    masks: Mapping[int, "Mask"]
    cache: Cache | None
    tokens: Tensor


class Attention(nn.Module):
    """Queries, keys and values by head, with RMSNorm on queries and keys if asked.

    Normalised queries and keys bound the scores, which keeps high learning rates stable
    (arXiv 2302.05442).
    """

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer, self.window = layer, windows(config)[layer]
        self.d_head, self.score_cap = sizes.d_head(config), config.score_cap
        queries = config.n_heads * self.d_head
        keys = config.n_kv_heads * self.d_head
        bias = config.bias != "none"
        self.query = nn.Linear(config.d_model, queries, bias)
        self.key = nn.Linear(config.d_model, keys, bias)
        self.value = nn.Linear(config.d_model, keys, bias)
        self.output = nn.Linear(queries, config.d_model, config.bias == "all")
        self.query_norm = self.key_norm = nn.Identity()
        if config.qk_norm:
            self.query_norm = RMSNorm(self.d_head, config.norm_eps)
            self.key_norm = RMSNorm(self.d_head, config.norm_eps)
        self.value_embedding = None
        if sizes.embeds_values(config, layer):
            self.value_embedding = ValueEmbedding(config)

    def forward(self, x: Tensor, sight: Sight) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        batch, time, _ = x.shape
        heads = (batch, time, -1, self.d_head)
        x = cast_once(x)
        query = self.query_norm(self.query(x).view(heads)).transpose(1, 2)
        key = self.key_norm(self.key(x).view(heads)).transpose(1, 2)
        value = self.value(x).view(heads)
        if self.value_embedding is not None:
            value = value + self.value_embedding(sight.tokens).type_as(value)
        value = value.transpose(1, 2)
        if sight.turns is not None:
            query, key = rotate(query, sight.turns), rotate(key, sight.turns)
        if sight.cache is not None:
            key, value = sight.cache.extend(self.layer, key, value)
        mixed = attend(query, key, value, sight.masks[self.window], self.score_cap)
        return self.output(mixed.transpose(1, 2).reshape(batch, time, -1))


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Mask, cap: float = 0.0
) -> Tensor:
    """Mix ``value`` by the match of ``query`` and ``key``, whichever way is fastest here.

    That is PyTorch's fused kernel, but for training on a CPU, where its backward pass is
    slow: there it is our own blocks (blocked.py), or on short contexts the plain matrix
    products, longer ones when the compiler fuses them.

    ``query`` is (batch, heads, time, d_head), ``key`` and ``value`` (batch, kv heads, past,
    d_head), the result like ``query``. ``mask`` (mask.py) None: plain causal, and then
    ``past == time``; a rule (paths.py) brings a kernel of its own. ``cap`` bounds the scores
    softly, which no fused kernel here can.
    """
    if isinstance(mask, FlexRule | FlashRule):
        return mask.attend(query, key, value, cap)
    training_on_cpu = query.device.type == "cpu" and torch.is_grad_enabled()
    short = key.shape[2] <= (SHORT_COMPILED if torch.compiler.is_compiling() else BLOCK)
    if cap or (training_on_cpu and short):
        return attend_plainly(query, key, value, mask, cap)
    if training_on_cpu and not torch.compiler.is_compiling():
        key, value = (_for_each_head(x, query) for x in (key, value))
        mixed = BlockedAttention.apply(query, key, value, mask)
        assert isinstance(mixed, Tensor)
        return mixed
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def attend_plainly(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, cap: float = 0.0
) -> Tensor:
    """:func:`attend`, written out: scores, mask, softmax, weighted mean of the values."""
    key, value = (_for_each_head(x, query) for x in (key, value))
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    if cap:
        scores = soft_cap(scores, cap)
    if mask is None:
        time = query.shape[2]
        mask = torch.ones(time, time, dtype=torch.bool, device=query.device).tril()
    if mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, float("-inf"))
    else:
        scores = scores + mask
    return torch.softmax(scores, dim=-1).type_as(value) @ value


def _for_each_head(x: Tensor, query: Tensor) -> Tensor:
    """Keys or values (batch, kv heads, past, width) repeated for every query head."""
    group = query.shape[1] // x.shape[1]
    return x if group == 1 else x.repeat_interleave(group, dim=1)


def attend_by_head(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, cap: float = 0.0
) -> Tensor:
    """:func:`attend_plainly` for those who read it first: one head after the other."""
    heads = []
    for head in range(query.shape[1]):
        shared = head * key.shape[1] // query.shape[1]  # whose key and value it uses
        scores = query[:, head] @ key[:, shared].mT / query.shape[-1] ** 0.5
        if cap:
            scores = cap * torch.tanh(scores / cap)
        if mask is None:
            hidden = torch.ones_like(scores).triu(1).bool()
            scores[hidden] = float("-inf")  # a token never sees a later one
        else:
            seen = mask.expand(len(query), query.shape[1], -1, -1)[:, head]
            if seen.dtype == torch.bool:
                scores = scores.where(seen, float("-inf"))
            else:
                scores = scores + seen
        heads.append(torch.softmax(scores, dim=-1) @ value[:, shared])
    return torch.stack(heads, dim=1)


def soft_cap(x: Tensor, cap: float) -> Tensor:
    """Bend ``x`` so that it never leaves ``-cap..cap`` (Gemma 2, arXiv 2408.00118)."""
    return cap * torch.tanh(x / cap)
