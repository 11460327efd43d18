"""Batches for pretraining: a pure function of (shards, seed, step).

There is no state to save: step 5,000 gives the same batch in a fresh process, after a resume,
and whatever was asked for before.
"""

from collections.abc import Iterator

import numpy as np
import torch

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE, Batch
from hornbook.data.permutation import permute, random_number
from hornbook.data.shards import Shards


class PretrainBatches:
    """``batches(step)`` -> a :class:`Batch` of ``batch`` windows of ``context_length`` tokens.

    The sequence of all tokens is cut into windows, which an epoch visits once each in random
    order. Every epoch has another order and cuts at other places, so that the model sees
    other beginnings; less than two windows' worth of tokens is left out of an epoch.
    Raises :class:`UserError` when the corpus is shorter than one window.
    """

    def __init__(
        self, shards: Shards, context_length: int, batch: int, seed: int
    ) -> None:
        predicted = shards.tokens - 1  # the first token of all has nothing before it
        if predicted < context_length:
            raise UserError(
                f"The training set has {shards.tokens:,} tokens, fewer than one context of "
                f"{context_length:,} and the token after it; use more text or a smaller "
                "'model.context_length'."
            )
        self.shards, self.seed = shards, seed
        self.context_length, self.batch = context_length, batch
        self.windows = max(predicted // context_length - 1, 1)
        self.slack = predicted - self.windows * context_length

    @property
    def steps_per_epoch(self) -> float:
        """How many steps see every window once."""
        return self.windows / self.batch

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``: tokens and targets ``(batch, context_length)`` int64."""
        length = self.context_length
        rows = np.stack([self.shards.read(s, length + 1) for s in self.starts(step)])
        tokens = torch.from_numpy(rows)
        return Batch(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())

    def starts(self, step: int) -> list[int]:
        """Where in the sequence the windows of ``step`` begin."""
        samples = range(step * self.batch, (step + 1) * self.batch)
        by_epoch: dict[int, list[int]] = {}
        for sample in samples:
            epoch, position = divmod(sample, self.windows)
            by_epoch.setdefault(epoch, []).append(position)
        starts: list[int] = []
        for epoch, positions in by_epoch.items():
            offset = random_number(self.seed, epoch, 1) % (self.slack + 1)
            key = random_number(self.seed, epoch, 2)
            windows = permute(np.array(positions, np.uint64), self.windows, key)
            starts += [offset + w * self.context_length for w in windows.tolist()]
        return starts


def validation_batches(
    shards: Shards, context_length: int, batch: int
) -> Iterator[Batch]:
    """Batches in which every held-out token is predicted exactly once.

    Windows follow each other without overlap, the first one headed by ``<|endoftext|>``;
    the last is padded with it and its missing targets are ``IGNORE``.
    """
    if not shards.tokens:
        raise UserError("The validation set holds no tokens.")
    return _validation_batches(shards, context_length, batch)


def _validation_batches(shards: Shards, length: int, batch: int) -> Iterator[Batch]:
    per_batch = length * batch
    for start in range(0, shards.tokens, per_batch):
        count = min(per_batch, shards.tokens - start)
        rows = -(-count // length)
        tokens = np.full(rows * length, shards.end_of_text, np.int64)
        targets = np.full(rows * length, IGNORE, np.int64)
        targets[:count] = shards.read(start, count)
        before = start - 1 if start else 0
        known = shards.read(before, start + count - 1 - before)
        tokens[count - len(known) : count] = known
        yield Batch(
            torch.from_numpy(tokens.reshape(rows, length)),
            torch.from_numpy(targets.reshape(rows, length)),
        )
