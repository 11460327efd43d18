"""What a batch source gives and the training loop takes."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

IGNORE = -100  # a target the loss passes over (PyTorch's own convention)


@dataclass(frozen=True)
class TensorBatch:
    """Tensors that share their first dimension, the batch.

    Subclasses add fields; a field may be None. ``weight`` is what a summed loss is divided
    by, so that micro-batches add up to exactly the gradient of the whole batch.
    """

    @property
    def size(self) -> int:
        """How many rows."""
        return next(len(getattr(self, f.name)) for f in fields(self))

    @property
    def weight(self) -> float:
        """The number of things the loss sums over: rows, unless a subclass says otherwise."""
        return float(self.size)

    @property
    def n_tokens(self) -> int:
        """How many tokens the model reads, padding included: the unit of throughput."""
        first = next(getattr(self, f.name) for f in fields(self))
        return first.numel()

    def split(self, micro_batch: int) -> list[Self]:
        """Pieces of at most ``micro_batch`` rows; 0 means all rows at once."""
        if not micro_batch or micro_batch >= self.size:
            return [self]
        starts = range(0, self.size, micro_batch)
        return [self.map(lambda t, a=a: t[a : a + micro_batch]) for a in starts]

    def to(self, device: torch.device) -> Self:
        """The same batch on ``device``."""
        return self.map(lambda t: t.to(device, non_blocking=True))

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same batch with ``change`` of every tensor."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(
            **{k: None if v is None else change(v) for k, v in values.items()}
        )


@dataclass(frozen=True)
class Batch(TensorBatch):
    """Next-token prediction.

    tokens    (batch, time) int64
    targets   (batch, time) int64: the token to predict at each place, or ``IGNORE``
    segments  (batch, time) int64 or None: tokens see only tokens of their own segment
    """

    tokens: Tensor
    targets: Tensor
    segments: Tensor | None = None

    @property
    def weight(self) -> float:
        """The number of tokens that are predicted."""
        return float((self.targets != IGNORE).sum())
