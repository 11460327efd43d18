"""Context parallelism: ranks share out the tokens of a row, and attention gathers the keys.

Each rank computes its own tokens; in attention it gathers the keys and values of all,
which with grouped queries are small, as Llama 3 did (arXiv 2407.21783, section 3.3.2).
Causal attention makes late tokens dearer than early ones, so rank ``r`` of ``n`` takes
chunks ``r`` and ``2n - 1 - r`` of ``2n``.

The model has a door for this already: a cache is "where earlier keys and values are". Here
they are on the other ranks.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hornbook.model.attention import Sight
from hornbook.model.mask import masks
from hornbook.model.transformer import Transformer


def columns(time: int, ranks: int, place: int) -> Tensor:
    """Which of a row's ``time`` tokens the rank at ``place`` takes, in order."""
    size = time // (2 * ranks)
    chunks = torch.arange(time).view(2 * ranks, size)
    return chunks[[place, 2 * ranks - 1 - place]].flatten()


class Gathered:
    """Keys and values of a row of which this rank has the tokens at ``positions``.

    A :class:`hornbook.model.attention.Cache`; ``order`` puts what the ranks hold, one
    after the other, into the row's order.
    """

    def __init__(self, tokens: Tensor, group: dist.ProcessGroup) -> None:
        ranks, place = group.size(), group.rank()
        self.group, self.length = group, tokens.shape[1] * ranks
        spans = [columns(self.length, ranks, n) for n in range(ranks)]
        self.order = torch.cat(spans).argsort().to(tokens.device)
        mine = spans[place].to(tokens.device)
        self.positions = mine.expand(len(tokens), -1)

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All ranks' keys and values, (batch, kv heads, length, width), in order."""
        width = keys.shape[-1]
        both = self.gather(torch.cat((keys, values), dim=-1), 2)
        return both[..., :width], both[..., width:]

    def gather(self, x: Tensor, axis: int) -> Tensor:
        """``x`` of all ranks along ``axis``, in order; its gradient goes back to them."""
        parts = Gather.apply(x, self.group)
        assert isinstance(parts, Tensor)
        return torch.cat(parts.unbind(), dim=axis).index_select(axis, self.order)


class Gather(torch.autograd.Function):
    """``x`` of every rank of a group, stacked; each gets back the sum of its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        """(ranks, *shape)."""
        ctx.group = group
        found = x.new_empty((group.size() * len(x), *x.shape[1:]))
        dist.all_gather_into_tensor(found, x.contiguous(), group=group)
        return found.unflatten(0, (group.size(), len(x)))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """The gradient of this rank's ``x``."""
        mine = torch.empty_like(gradient[0])
        every = gradient.contiguous().flatten(0, 1)
        dist.reduce_scatter_tensor(mine, every, group=ctx.group)
        return mine, None


def share_context(model: Transformer, group: dist.ProcessGroup) -> None:
    """Let ``model`` read rows of which this rank has :func:`columns` only."""
    hidden = model.hidden

    def shared_hidden(
        tokens: Tensor, segments: Tensor | None = None, cache: None = None
    ) -> Tensor:
        return hidden(tokens, segments, Gathered(tokens, group))

    def sight(tokens: Tensor, segments: Tensor | None, cache: Gathered) -> Sight:
        time, config = tokens.shape[1], model.config
        turns = model.rotary and model.rotary(time, cache.positions)
        seen = masks(config, time, None, cache.positions, cache.length, tokens.device)
        if segments is not None:
            with torch.no_grad():
                everyones = cache.gather(segments, 1)
            apart = (segments[:, :, None] != everyones[:, None, :]).unsqueeze(1)
            seen = {window: _hide(mask, apart) for window, mask in seen.items()}
        return Sight(turns or None, seen, cache, tokens)

    model.hidden = shared_hidden  # type: ignore[method-assign]
    model.sight = sight  # type: ignore[method-assign, assignment]


def _hide(mask: Tensor | None, apart: Tensor) -> Tensor:
    assert mask is not None  # positions are given, so it is written out
    if mask.dtype == torch.bool:
        return mask & ~apart
    return mask.masked_fill(apart, float("-inf"))
