"""Filling rows of a fixed length with pieces of many lengths, wasting little.

Row by row, the longest piece that fits, until one or two of those left fill the rest exactly.
(Best-fit decreasing leaves half of the shortest piece free in every row; looking two pieces
ahead leaves next to nothing.) After Ding et al. 2024, "Fewer truncations improve language
modeling".
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hornbook.data.jit import kernel


def pack(lengths: np.ndarray, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pieces share a row: ``(order, starts)``.

    Row ``r`` holds the pieces ``order[starts[r]:starts[r + 1]]``, whose ``lengths`` (int64,
    positive) sum to at most ``capacity``. Raises ValueError for a longer piece.
    """
    if len(lengths) and int(lengths.max()) > capacity:
        raise ValueError(f"{lengths.max()} tokens don't fit into a row of {capacity}")
    counts = np.bincount(lengths, minlength=capacity + 1)
    taken, row_of = _fill(counts, capacity)
    # Within a length the pieces go in their own order: the n-th time it is taken, the n-th.
    order = np.empty(len(lengths), np.int64)
    order[np.argsort(taken, kind="stable")] = np.argsort(lengths, kind="stable")
    rows = int(row_of[-1]) + 1 if len(row_of) else 0
    return order, np.searchsorted(row_of, np.arange(rows + 1))


def pack_rows(lengths: Sequence[int], capacity: int) -> list[np.ndarray]:
    """The rows of :func:`pack` as one array of pieces each."""
    order, starts = pack(np.array(lengths, np.int64), capacity)
    return [order[a:b] for a, b in pairwise(starts)]


@kernel
def _fill(counts, capacity):
    """The lengths in the order in which they are taken, and the row of each."""
    left = counts.copy()
    pieces = left.sum()
    taken = np.empty(pieces, np.int64)
    row_of = np.empty(pieces, np.int64)
    longest = capacity
    done = row = 0
    while done < pieces:
        while left[longest] == 0:
            longest -= 1
        room = capacity
        while room > 0:
            length = _choose(left, min(room, longest), room)
            if length == 0:
                break
            left[length] -= 1
            taken[done], row_of[done] = length, row
            done += 1
            room -= length
        row += 1
    return taken, row_of


@kernel
def _choose(left, longest, room):
    """A length that fills ``room``, alone or with one more; else the longest that fits."""
    if longest == room and left[room] > 0:
        return room
    for length in range(room // 2, max(room - longest, 1) - 1, -1):
        other = room - length
        if left[length] > (length == other) and left[other] > 0:
            return other
    while longest > 0 and left[longest] == 0:
        longest -= 1
    return longest
