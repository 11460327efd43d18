"""Filling rows of a fixed length with sequences of many lengths, wasting little."""

from collections import defaultdict
from collections.abc import Sequence


def pack_rows(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Which sequences share a row: lists of indices whose lengths sum to at most ``capacity``.

    Row by row, the longest sequence that fits, until one or two of those left fill the rest
    exactly. (Best-fit decreasing leaves half of the shortest sequence free in every row;
    looking two sequences ahead leaves next to nothing.) The lengths still to be had are the
    bits of one integer, so that "the longest that fits" is a mask and a bit length.
    Raises ValueError for a sequence longer than ``capacity``.
    """
    if lengths and max(lengths) > capacity:
        raise ValueError(f"{max(lengths)} tokens don't fit into a row of {capacity}")
    stock: dict[int, list[int]] = defaultdict(list)  # length -> indices, first one last
    for index in reversed(range(len(lengths))):
        stock[lengths[index]].append(index)
    there = sum(1 << length for length in stock)
    rows = []
    while there:
        row, room = [], capacity
        while fitting := there & ((2 << room) - 1):
            length = _exact(stock, fitting, room) or fitting.bit_length() - 1
            row.append(stock[length].pop())
            if not stock[length]:
                del stock[length]
                there &= ~(1 << length)
            room -= length
        rows.append(row)
    return rows


def _exact(stock: dict[int, list[int]], fitting: int, room: int) -> int:
    """A length that fills ``room``, alone or with one more of those in stock; else 0."""
    if fitting >> room & 1:
        return room
    if 2 * (fitting.bit_length() - 1) < room:  # even two of the longest leave a gap
        return 0
    for length in range(room // 2, 0, -1):
        other = room - length
        if length in stock and other in stock and (length != other or stock[other][1:]):
            return other
    return 0
