"""What a sample of pretraining is: a window of the token sequence, or a row of documents."""

import numpy as np

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.data.packing import pack
from hornbook.data.permutation import permute, random_number
from hornbook.data.shards import Shards

Row = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # tokens, targets, segments


class Windows:
    """The tokens ``start:end`` of the sequence, cut into windows of ``context_length``.

    Every epoch has another order and cuts at other places, so that the model sees other
    beginnings; less than two windows' worth of tokens is left out of an epoch.
    Raises :class:`UserError` when there are fewer tokens than one window predicts.
    """

    def __init__(
        self, shards: Shards, context_length: int, seed: int, start: int, end: int
    ) -> None:
        self.first = max(start - 1, 0)  # what the first predicted token comes after
        predicted = end - 1 - self.first
        if predicted < context_length:
            raise UserError(
                f"The training set has {end - start:,} tokens, fewer than one context of "
                f"{context_length:,} and the token after it; use more text or a smaller "
                "'model.context_length'."
            )
        self.shards, self.seed, self.context_length = shards, seed, context_length
        self.count = max(predicted // context_length - 1, 1)
        self.slack = predicted - self.count * context_length

    def rows(self, samples: np.ndarray) -> list[Row]:
        """Tokens and targets, ``(context_length,)`` int64 each, of the chosen samples."""
        found: list[Row] = []
        for start in self.starts(samples):
            tokens = self.shards.read(start, self.context_length + 1)
            found.append((tokens[:-1], tokens[1:], None))
        return found

    def starts(self, samples: np.ndarray) -> list[int]:
        """Where in the sequence the windows of ``samples`` begin."""
        epochs, numbers = shuffled(samples, self.count, self.seed)
        offsets = {
            epoch: random_number(self.seed, epoch, 1) % (self.slack + 1)
            for epoch in set(epochs)
        }
        return [
            self.first + offsets[epoch] + number * self.context_length
            for epoch, number in zip(epochs, numbers, strict=True)
        ]


class DocumentRows:
    """Whole documents packed into rows; attention never crosses from one into another.

    A document is preceded by the ``<|endoftext|>`` before it, from which its first token is
    predicted, and one longer than ``context_length`` is cut into pieces. ``documents`` is
    the range of documents, ``waste`` the share of places left empty.
    """

    def __init__(
        self, shards: Shards, context_length: int, seed: int, documents: range
    ) -> None:
        edges = shards.offsets[documents.start : documents.stop + 1]
        self.shards, self.seed, self.context_length = shards, seed, context_length
        self.at, self.lengths = _pieces(edges, context_length)
        self.order, self.row_starts = pack(self.lengths, context_length)
        self.count = len(self.row_starts) - 1
        if not self.count:
            raise UserError("The training set has no documents.")
        self.waste = 1 - float(self.lengths.sum()) / (self.count * context_length)

    def rows(self, samples: np.ndarray) -> list[Row]:
        """Tokens, targets and segments, ``(context_length,)`` int64, of the samples."""
        return [self._row(n) for n in shuffled(samples, self.count, self.seed)[1]]

    def _row(self, number: int) -> Row:
        end_of_text = self.shards.end_of_text
        tokens = np.full(self.context_length, end_of_text, np.int64)
        targets = np.full(self.context_length, IGNORE, np.int64)
        segments = np.zeros(self.context_length, np.int64)
        place = 0
        members = self.order[self.row_starts[number] : self.row_starts[number + 1]]
        for segment, piece in enumerate(members.tolist(), start=1):
            at, length = int(self.at[piece]), int(self.lengths[piece])
            here = slice(place, place + length)
            before = max(at - 1, 0)
            known = self.shards.read(before, at + length - before)
            targets[here] = known[-length:]
            tokens[here][length - len(known) + 1 :] = known[:-1]
            segments[here] = segment
            place += length
        return tokens, targets, segments


def _pieces(edges: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Where pieces of documents begin, and their lengths: none longer than ``longest``."""
    sizes = np.diff(edges)
    parts = -(-sizes // longest)
    document = np.repeat(np.arange(len(sizes)), parts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(parts) - parts, parts)
    at = edges[:-1][document] + number * longest
    return at, np.minimum(edges[1:][document] - at, longest)


def shuffled(samples: np.ndarray, count: int, seed: int) -> tuple[list[int], list[int]]:
    """``(epochs, numbers)``: every epoch visits 0 .. count-1 once each, in its own order."""
    epochs, positions = np.divmod(samples, count)
    numbers = np.empty(len(samples), np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        key = random_number(seed, int(epoch), 2)
        numbers[here] = permute(positions[here].astype(np.uint64), count, key)
    return epochs.tolist(), numbers.tolist()
