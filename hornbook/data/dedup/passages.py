"""Cuts passages that a better document has too: paragraphs, lines, and runs of words.

The best ranked document keeps a passage, at its first place there; every other copy is cut,
wherever it stands. That takes two passes over the documents before the one that cuts.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.pieces import Pieces, lines, paragraphs, runs
from hornbook.data.dedup.repeats import Repeats
from hornbook.data.documents import read_tables
from hornbook.data.jit import kernel

KINDS = ("paragraphs", "lines", "spans")


class Passages:
    """The passages that occur more than once in the documents of ``folders``.

    ``ranks`` has one number per document, those of the first folder first; the smallest is
    the best. A document with -1 does not count.
    """

    def __init__(
        self,
        config: DedupConfig,
        folders: list[Path],
        ranks: np.ndarray,
        total_bytes: int,
    ) -> None:
        self._config, self._ranks = config, ranks
        smallest = 6 if config.spans else max(config.min_repeat, 1)  # bytes per passage
        self._repeats = Repeats(total_bytes // smallest)
        with Progress("passages", total=2 * len(ranks), unit="doc") as progress:
            for texts, _ in _batches(folders, ranks, progress):
                for hashes, _, _ in self._pieces(texts):
                    self._repeats.see(hashes)
            for texts, here in _batches(folders, ranks, progress):
                for hashes, _, ends in self._pieces(texts):
                    self._repeats.own(hashes, np.repeat(here, np.diff(ends)))

    def _pieces(self, texts: pa.LargeStringArray) -> Iterator[Pieces]:
        """The passages of some texts, of each kind asked for in turn."""
        buffer, offsets = _own_bytes(texts)
        if self._config.paragraphs:
            yield paragraphs(buffer, offsets, self._config.min_repeat)
        if self._config.lines:
            yield lines(buffer, offsets, self._config.min_repeat)
        if self._config.spans:
            yield runs(buffer, offsets, self._config.spans)

    def cut(
        self, texts: pa.LargeStringArray, documents: np.ndarray
    ) -> tuple[pa.LargeStringArray, dict[str, np.ndarray]]:
        """``texts`` without the passages that others keep, and per kind the bytes cut.

        ``documents`` are their numbers. Every document may be given only once.
        """
        buffer, offsets = _own_bytes(texts)
        ranks = self._ranks[documents]
        gone = np.zeros(len(buffer), bool)
        size, lost = np.diff(offsets), {}
        kinds = [kind for kind in KINDS if getattr(self._config, kind)]
        for kind, pieces in zip(kinds, self._pieces(texts), strict=True):
            hashes, places, ends = pieces
            found = self._repeats.find(hashes, np.repeat(ranks, np.diff(ends)))
            _mark(gone, places[found])
            stays = np.concatenate([[0], np.cumsum(~gone)])
            left = np.diff(stays[offsets])
            lost[kind] = size - left
            size = left
        new_offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        buffers = [None, pa.py_buffer(new_offsets), pa.py_buffer(buffer[~gone])]
        return pa.LargeStringArray.from_buffers(len(texts), *buffers[1:]), lost


def _own_bytes(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes and offsets that begin at 0, of a slice of a larger array too."""
    buffer, offsets = text_buffers(texts)
    return buffer[offsets[0] : offsets[-1]], offsets - offsets[0]


@kernel
def _mark(gone, places):
    for i in range(places.shape[0]):
        gone[places[i, 0] : places[i, 1]] = True


def _batches(
    folders: list[Path], ranks: np.ndarray, progress: Progress
) -> Iterator[tuple[pa.LargeStringArray, np.ndarray]]:
    """Texts that count, and their ranks."""
    start = 0
    for folder in folders:
        for table in read_tables(folder, ["text"]):
            here = ranks[start : start + table.num_rows]
            start += table.num_rows
            yield column_texts(table.filter(pa.array(here >= 0))), here[here >= 0]
            progress.advance(table.num_rows)
