"""Counting pieces for training: the table of ``slots.py`` with a count in word 2."""

import numpy as np

from hornbook.tokenizer.kernels.jit import (
    ONE,
    ZERO,
    call,
    inner,
    kernel,
    load64,
    prefetch,
    stand_apart,
    view,
    view_as,
)
from hornbook.tokenizer.kernels.scanners import (
    BUFFER,
    COUNT,
    CURSOR,
    ENDS,
    POS,
    SCAN,
    SCANNER,
    STOP,
)
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

BATCH = 1024
# What a state holds after what its scanner needs, in this order; see jit.addresses.
(PLACES, TABLE, SEEN, USED, SCRATCH) = range(4, 9)
KEY_0, KEY_1, SLOT = (np.uint64(row) for row in range(3))
ROWS, COLUMNS = 3, BATCH + 128
HEAVIEST = (1 << 31) - 1  # a word of a larger count is laid out more than once


@inner
def add_batch(address, at, m):
    """Count the ``m`` pieces from ``at`` on; ``seen`` has room for them."""
    stand_apart()
    buf, ends = view(address, BUFFER, np.uint8), view(address, ENDS, np.uint64)
    table, seen = view(address, TABLE, np.uint64), view(address, SEEN, np.uint8)
    used = view(address, USED, np.int64)
    rows = view_as(address, SCRATCH, (ROWS, COLUMNS), np.uint64)
    keys_0, keys_1, slots = rows[KEY_0], rows[KEY_1], rows[SLOT]
    start, bits = at, used[2]
    for i in range(np.uint64(m)):
        end = np.int64(ends[i])
        key_0, key_1 = piece_key(buf, start, end - start)
        keys_0[i], keys_1[i], slots[i] = key_0, key_1, home(key_0, key_1, bits)
        prefetch(table, np.int64(slots[i] << THREE))
        start = end
    start = at
    for i in range(np.uint64(m)):
        size = np.int64(ends[i]) - start
        key_0, key_1 = keys_0[i], keys_1[i]
        place = find(table, slots[i], key_0, key_1, buf, start, size, seen)
        if table[place + ONE] == ZERO:
            occupy(table, place, key_0, key_1, buf, start, size, seen, used)
        table[place + TWO] += ONE
        start += size


@kernel
def count_texts(address, text, at):
    """Count the pieces of texts ``text``, ``text + 1``, ... of a buffer, from ``at`` on.

    ``places`` is where they start, then where they stop. Returns (text, at), for the next
    call when the table or ``seen`` must grow.
    """
    places, cursor = view(address, PLACES, np.int64), view(address, CURSOR, np.int64)
    seen, used = view(address, SEEN, np.uint8), view(address, USED, np.int64)
    bits, texts = used[2], len(places) // 3
    while text < texts:
        at, n = max(at, places[text]), places[texts + text]
        cursor[POS], cursor[SCAN], cursor[STOP] = at, at + 1, n
        while at < n:
            if (used[0] + BATCH) * 2 > (1 << bits):
                return text, at
            call(cursor[SCANNER], address)
            if used[1] + 2 * (cursor[POS] - at) + 16 > len(seen):
                return text, at
            add_batch(address, at, cursor[COUNT])
            at = cursor[POS]
        text += 1
    return text, at


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
        begin = home(other[source], key_1, bits)
        at = find(table, begin, other[source], key_1, other_seen, place, size, seen)
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
