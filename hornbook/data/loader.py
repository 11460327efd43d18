"""Batches for pretraining: a pure function of (shards, mixture, seed, step).

There is no state to save: step 5,000 gives the same batch in a fresh process, after a resume,
and whatever was asked for before.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE, Batch
from hornbook.data.config import DataConfig
from hornbook.data.mixture import Mixture, plan_mixture
from hornbook.data.permutation import random_number
from hornbook.data.shards import Shards
from hornbook.data.windows import DocumentRows, Row, Windows

Part = Windows | DocumentRows


class PretrainBatches:
    """``batches(step)`` -> a :class:`Batch` of ``batch`` rows.

    Without a mixture there is one part, whose rows an epoch visits once each in random
    order; with one, each source is a part, visited as often as the mixture says.
    """

    def __init__(
        self, parts: list[Part], batch: int, mixture: Mixture | None = None
    ) -> None:
        self.parts, self.batch, self.mixture = parts, batch, mixture

    @property
    def steps_per_epoch(self) -> float:
        """How many steps see as many rows as there are."""
        return sum(part.count for part in self.parts) / self.batch

    def facts(self) -> dict[str, Any]:
        """The mix as it comes out, and what packing wastes, for a report."""
        facts: dict[str, Any] = {}
        if self.mixture:
            shares, epochs = self.mixture.shares, self.mixture.epochs
            facts["mixture"] = {
                name: {"share": shares[name], "epochs": epochs[name]} for name in shares
            }
        rows = [part for part in self.parts if isinstance(part, DocumentRows)]
        if rows:
            empty = sum(part.waste * part.count for part in rows)
            facts["packing_waste"] = empty / sum(part.count for part in rows)
        return facts

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``: tokens, targets, segments ``(batch, context_length)``."""
        return self.part(step, slice(0, self.batch))

    def part(self, step: int, rows: slice) -> Batch:
        """Some ``rows`` of the batch of ``step``; no others are read."""
        samples = np.arange(step * self.batch, (step + 1) * self.batch)[rows]
        if self.mixture is None:
            return _stack(self.parts[0].rows(samples))
        sources, positions = self.mixture.locate(samples)
        found: dict[int, Row] = {}
        for source in np.unique(sources):
            here = np.flatnonzero(sources == source)
            read = self.parts[source].rows(positions[here])
            found.update(zip(here.tolist(), read, strict=True))
        return _stack([found[place] for place in range(len(samples))])


def _stack(rows: list[Row]) -> Batch:
    tokens, targets, segments = zip(*rows, strict=True)
    apart = None if segments[0] is None else torch.from_numpy(np.stack(segments))
    inputs, predicted = (torch.from_numpy(np.stack(t)) for t in (tokens, targets))
    return Batch(inputs, predicted, apart)


def pretrain_batches(
    shards: Shards,
    data: DataConfig,
    context_length: int,
    batch: int,
    steps: int,
    seed: int,
) -> PretrainBatches:
    """The batches of a run of ``steps`` steps, as the recipe's ``[data]`` asks for them.

    Raises :class:`UserError` for less text than one row, and for a mixture that names an
    unknown source.
    """

    def part(documents: range, seed: int) -> Part:
        if data.packing == "documents":
            return DocumentRows(shards, context_length, seed, documents)
        start, end = shards.offsets[[documents.start, documents.stop]].tolist()
        return Windows(shards, context_length, seed, start, end)

    if data.mixture is None:
        return PretrainBatches([part(range(shards.documents), seed)], batch)
    sources = {name: span for name, span in shards.sources.items() if len(span)}
    parts = [
        part(span, random_number(seed, number))
        for number, span in enumerate(sources.values())
    ]
    windows = {n: p.count for n, p in zip(sources, parts, strict=True)}
    mixture = plan_mixture(data.mixture, windows, steps * batch, seed)
    return PretrainBatches(parts, batch, mixture)


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
