"""Counting pieces for training: the table of ``slots.py`` with a count in word 2."""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, ZERO, inner, kernel, load64, prefetch
from hornbook.tokenizer.kernels.slots import (
    BITS_56,
    LONG,
    LOW_56,
    THREE,
    TWO,
    find,
    home,
    occupy,
    piece_key,
)
from hornbook.tokenizer.kernels.windows import piece_ends

BATCH = 1024
ENDS, KEY_0, KEY_1 = (np.uint64(row) for row in range(3))
ROWS, COLUMNS = 3, BATCH + 128
HEAVIEST = (1 << 31) - 1  # a word of a larger count is laid out more than once


def counter_for(rule):
    """The kernel for one split pattern."""

    @kernel
    def count_texts(buf, texts, text, at, classes, table, bits, seen, used, rows):
        """Count the pieces of texts ``text``, ``text + 1``, ... of ``buf``, from ``at`` on.

        The rows of ``texts`` are where they start and stop. Returns (text, at), for the next
        call when the table or ``seen`` must grow.
        """
        ends, keys_0, keys_1 = rows[ENDS], rows[KEY_0], rows[KEY_1]
        while text < texts.shape[1]:
            at, n = max(at, texts[0, text]), texts[1, text]
            pos, scan = at, at + 1
            while pos < n:
                if (used[0] + BATCH) * 2 > (1 << bits):
                    return text, at
                m, pos, scan = piece_ends(rule, buf, pos, scan, n, classes, ends)
                if used[1] + 2 * (pos - at) + 16 > len(seen):
                    return text, at
                start = at
                for i in range(np.uint64(m)):
                    end = np.int64(ends[i])
                    keys_0[i], keys_1[i] = piece_key(buf, start, end - start)
                    prefetch(table, np.int64(home(keys_0[i], keys_1[i], bits) << THREE))
                    start = end
                start = at
                for i in range(np.uint64(m)):
                    size = np.int64(ends[i]) - start
                    key_0, key_1 = keys_0[i], keys_1[i]
                    place = find(table, bits, key_0, key_1, buf, start, size, seen)
                    if table[place + ONE] == ZERO:
                        occupy(table, place, key_0, key_1, buf, start, size, seen, used)
                    table[place + TWO] += ONE
                    start += size
                at = pos
            text += 1
        return text, at

    return count_texts


@inner
def piece_place(table, at, seen):
    """(size, where in ``seen``) of the piece in a slot; where is -1 for a short one."""
    word = table[at + ONE]
    if word >> BITS_56 != np.uint64(16):
        return np.int64(word >> BITS_56), np.int64(-1)
    place = np.int64(word & LOW_56)
    return np.int64(load64(seen, place - 8)), place


@kernel
def absorb(other, other_bits, other_seen, least, table, bits, seen, used):
    """Add another table's counts of ``least`` or more to this one, which has room."""
    for slot in range(1 << other_bits):
        source = np.uint64(4 * slot)
        if other[source + ONE] == ZERO or np.int64(other[source + TWO]) < least:
            continue
        size, place = piece_place(other, source, other_seen)
        key_1 = other[source + ONE] if place < 0 else LONG
        at = find(table, bits, other[source], key_1, other_seen, place, size, seen)
        if table[at + ONE] == ZERO:
            occupy(table, at, other[source], key_1, other_seen, place, size, seen, used)
        table[at + TWO] += other[source + TWO]


@kernel
def measure(table, bits, seen):
    """How many cells :func:`lay_out` needs."""
    cells = 1
    for slot in range(1 << bits):
        at = np.uint64(4 * slot)
        if table[at + ONE] != ZERO:
            size, _ = piece_place(table, at, seen)
            copies = (np.int64(table[at + TWO]) - 1) // HEAVIEST + 1
            cells += (size + 1) * copies if size > 1 else 0
    return cells


@kernel
def lay_out(table, table_bytes, bits, seen, cells):
    """Write every word of two bytes or more into ``cells``, ``(n, 2)`` int32.

    Column 0 holds the bytes, and -1 before, between and after words; column 1 how often
    the word occurs.
    """
    cells[0, 0], cells[0, 1] = -1, 0
    p = 1
    for slot in range(1 << bits):
        at = np.uint64(4 * slot)
        if table[at + ONE] == ZERO:
            continue
        size, place = piece_place(table, at, seen)
        left = np.int64(table[at + TWO]) if size > 1 else 0
        while left > 0:
            weight = min(left, HEAVIEST)
            for q in range(size):
                byte = (
                    table_bytes[np.int64(at) * 8 + q] if place < 0 else seen[place + q]
                )
                cells[p, 0], cells[p, 1] = byte, weight
                p += 1
            cells[p, 0], cells[p, 1] = -1, 0
            p += 1
            left -= weight
    return p
