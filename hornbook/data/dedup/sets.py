"""The shingle sets of the candidates, in a file that is mapped into memory.

The operating system keeps in memory what fits and drops the rest, so a corpus in which
every document is a candidate needs disk (four bytes per distinct shingle), not memory.
"""

from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np

from hornbook.data.jit import kernel
from hornbook.data.shingles import shingle_hashes, word_tables


class ShingleSets:
    """``count`` sets of uint32, added in any order, read back as one array.

    Used in a ``with``; the file is there only within it. Set ``i`` is
    ``members()[starts[i] : starts[i] + sizes[i]]``, sorted and without repeats.
    """

    def __init__(self, path: Path, count: int, ngram: int) -> None:
        self.starts = np.zeros(count, np.int64)
        self.sizes = np.zeros(count, np.int64)
        self._path, self.ngram = path, ngram
        self._written = 0

    def __enter__(self) -> "ShingleSets":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self._path, "wb")
        return self

    def add(self, places: np.ndarray, flat: np.ndarray, ends: np.ndarray) -> None:
        """Add sets, which stand end to end in ``flat``, as numbers ``places``."""
        self.starts[places] = self._written + ends[:-1]
        self.sizes[places] = np.diff(ends)
        self._file.write(flat.data)
        self._written += len(flat)

    def members(self) -> np.ndarray:
        """All sets; no more can be added."""
        self._file.close()
        if not self._written:  # an empty file cannot be mapped
            return np.frombuffer(b"", np.uint32)
        return np.asarray(np.memmap(self._path, np.uint32, "r"))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def flat_sets(
    buffer: np.ndarray, offsets: np.ndarray, texts: np.ndarray, ngram: int
) -> tuple[np.ndarray, np.ndarray]:
    """The sets of some texts end to end (uint32), and where each one ends."""
    room = int((offsets[texts + 1] - offsets[texts]).sum()) // 2 + len(texts)
    flat, ends = np.empty(room, np.uint32), np.zeros(len(texts) + 1, np.int64)
    _hash_all(buffer, offsets, texts, *word_tables(), ngram, flat, ends)
    for start, end in pairwise(ends.tolist()):
        flat[start:end].sort()  # NumPy's is much faster than one compiled here
    _drop_repeats(flat, ends)
    return flat[: ends[-1]], ends


@kernel
def _hash_all(buffer, offsets, texts, role, folded, n, flat, ends):
    ring = np.zeros(n, np.uint64)
    hashes = np.empty(16, np.uint64)
    for number in range(texts.size):
        start, end = offsets[texts[number]], offsets[texts[number] + 1]
        if end - start > 2 * hashes.size - 2:
            hashes = np.empty(end - start, np.uint64)
        found = shingle_hashes(buffer, start, end, role, folded, n, ring, hashes)
        at = ends[number]
        for i in range(found):
            flat[at + i] = np.uint32(hashes[i] >> np.uint64(32))
        ends[number + 1] = at + found


@kernel
def _drop_repeats(flat, ends):
    """Move the distinct members of each sorted set together."""
    size = start = 0
    for number in range(ends.size - 1):
        begin = size
        for i in range(start, ends[number + 1]):
            if size == begin or flat[i] != flat[size - 1]:
                flat[size] = flat[i]
                size += 1
        start = ends[number + 1]
        ends[number + 1] = size
