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
        mixed = torch.empty(
            (*query.shape[:-1], value.shape[-1]), dtype=value.dtype, device=value.device
        )
        wide = torch.promote_types(query.dtype, torch.float32)
        norms = torch.empty(query.shape[:-1], dtype=wide, device=query.device)
        for rows, seen in _blocks(query, key, mask):
            scores = _scores(query, key, mask, rows, seen)
            top = scores.amax(-1, keepdim=True)
            weights = scores.sub_(top).exp_()
            total = weights.sum(-1, keepdim=True)
            norms[:, :, rows] = top.add_(total.log())[..., 0]
            mixed[:, :, rows] = weights.div_(total).type_as(value) @ value[:, :, :seen]
        ctx.save_for_backward(query, key, value, mixed, norms, mask)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """The gradients of query, key and value."""
        query, key, value, mixed, norms, mask = ctx.saved_tensors
        d_query = torch.empty_like(query)
        d_key, d_value = torch.zeros_like(key), torch.zeros_like(value)
        # What softmax's normalisation takes off each row's gradient.
        shares = (gradient * mixed).sum(-1, dtype=norms.dtype)
        for rows, seen in _blocks(query, key, mask):
            weights = _scores(query, key, mask, rows, seen)
            weights = weights.sub_(norms[:, :, rows, None]).exp_()
            mine = gradient[:, :, rows]
            d_value[:, :, :seen] += weights.type_as(value).mT @ mine
            d_scores = (mine @ value[:, :, :seen].mT).to(norms.dtype)
            d_scores.sub_(shares[:, :, rows, None]).mul_(weights)
            d_scores = d_scores.type_as(query)
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


def _scores(
    query: Tensor, key: Tensor, mask: Tensor | None, rows: slice, seen: int
) -> Tensor:
    """A block's scores in float32 or wider, minus infinity where nothing may be seen."""
    scores = query[:, :, rows] @ key[:, :, :seen].mT
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if mask is None:
        size = rows.stop - rows.start
        later = torch.ones(size, size, dtype=torch.bool, device=scores.device).triu_(1)
        scores[..., rows.start :].masked_fill_(later, float("-inf"))
        return scores
    if mask.shape[-2] > 1:
        mask = mask[..., rows, :]
    if mask.dtype == torch.bool:
        return scores.masked_fill_(~mask, float("-inf"))
    return scores.add_(mask)
