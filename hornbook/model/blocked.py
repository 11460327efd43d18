"""Attention for training on a CPU: block by block of queries, in the processor's cache.

Written out, attention makes a score for every pair of tokens and walks over all of them
some ten times, through main memory. Here a block of queries meets the keys it may see, and
everything about it is done while its scores are near; with a causal mask, keys after the
block are never touched. The backward pass makes the scores again from the queries and keys
rather than keep them. That is FlashAttention's idea (arXiv 2205.14135) with blocks as wide
as a cache allows, in PyTorch's own matrix products.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 128  # queries at a time


class BlockedAttention(torch.autograd.Function):
    """``softmax(query @ key.mT / sqrt(d_head)) @ value``, causal or with a mask.

    ``query``, ``key`` and ``value`` have equally many heads: (batch, heads, time, width).
    ``mask`` as in mask.py: None for causal, or broadcasting to (batch, heads, time, past).
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> Tensor:
        """The mixed values, (batch, heads, time, width)."""
        query = query * query.shape[-1] ** -0.5
        mixed = value.new_empty((*query.shape[:-1], value.shape[-1]))
        for rows, seen in _blocks(query, key, mask):
            weights = _weights(query, key, mask, rows, seen).type_as(value)
            mixed[:, :, rows] = weights @ value[:, :, :seen]
        ctx.save_for_backward(query, key, value, mask)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """The gradients of query, key and value."""
        query, key, value, mask = ctx.saved_tensors
        d_query = torch.empty_like(query)
        d_key, d_value = torch.zeros_like(key), torch.zeros_like(value)
        for rows, seen in _blocks(query, key, mask):
            weights = _weights(query, key, mask, rows, seen)
            mine = gradient[:, :, rows]
            d_value[:, :, :seen] += weights.type_as(value).mT @ mine
            d_weights = (mine @ value[:, :, :seen].mT).type_as(weights)
            d_scores = torch.ops.aten._softmax_backward_data(
                d_weights, weights, -1, weights.dtype
            ).type_as(query)
            d_query[:, :, rows] = d_scores @ key[:, :, :seen]
            d_key[:, :, :seen] += d_scores.mT @ query[:, :, rows]
        return d_query.mul_(query.shape[-1] ** -0.5), d_key, d_value, None


def _blocks(query: Tensor, key: Tensor, mask: Tensor | None) -> list[tuple[slice, int]]:
    """Blocks of queries, and how many keys each looks at."""
    time, past = query.shape[2], key.shape[2]
    starts = range(0, time, BLOCK)
    ends = [min(start + BLOCK, time) for start in starts]
    return [
        (slice(start, end), end if mask is None else past)
        for start, end in zip(starts, ends, strict=True)
    ]


def _weights(
    query: Tensor, key: Tensor, mask: Tensor | None, rows: slice, seen: int
) -> Tensor:
    """A block's softmax, in the dtype of its scores (or a wider one of the mask's)."""
    scores = query[:, :, rows] @ key[:, :, :seen].mT
    if mask is None:
        size = rows.stop - rows.start
        later = torch.ones(size, size, dtype=torch.bool, device=scores.device).triu_(1)
        scores[..., rows.start :].masked_fill_(later, float("-inf"))
    else:
        if mask.shape[-2] > 1:
            mask = mask[..., rows, :]
        if mask.dtype == torch.bool:
            scores.masked_fill_(~mask, float("-inf"))
        else:
            scores = scores + mask
    return torch.softmax(scores, dim=-1)
