"""Encoding, about a thousand pieces at a time, in simple loops over arrays.

Most pieces have been seen before, so their ids are in a table (``slots.py``). A batch goes
through: keys, and a prefetch of each slot; the search for the slots; merging the pieces
that are new; copying the ids out. Words 2 and 3 of a slot hold up to four ids::

    word 2: count << 56 | id_1 << 32 | id_0        word 3: id_3 << 32 | id_2

and for more than four, word 3 says where in ``spill`` they are. Long pieces are first cut
where no token can reach (:func:`next_cut`), and the parts looked up.

There is one kernel per split pattern, so that only the scanner in use is compiled.
"""

import numpy as np

from hornbook.tokenizer.kernels.cuts import next_cut
from hornbook.tokenizer.kernels.jit import (
    ONE,
    ZERO,
    inlined,
    inner,
    kernel,
    load64,
    prefetch,
    store64,
    view,
    view_as,
)
from hornbook.tokenizer.kernels.merge import (
    EDGE,
    IDS,
    LONGEST,
    gather,
    lay_out,
    merge_best,
    merge_long,
)
from hornbook.tokenizer.kernels.slots import (
    LONG,
    LOW_56,
    SHORT,
    THREE,
    TWO,
    find,
    hash_bytes,
    home,
    occupy,
    short_key,
)
from hornbook.tokenizer.kernels.windows import piece_ends

BATCH = 1024
ROOM = BATCH * (LONGEST + 9)  # how much of seen and spill a batch can need at most
ENDS, CUTS, KEY_0, KEY_1, SLOT, MISSES, LANE = (np.uint64(row) for row in range(7))
ROWS, COLUMNS = 7, BATCH + 128
# What a state holds, in this order; see jit.addresses.
(BUFFER, PLACES, OUT, CLASSES, TABLE, SEEN, SPILL, USED, PROGRESS) = range(9)
(BYTE_IDS, BYTE_RANKS, PAIRS, MADE, JOINED, GLUED, SCRATCH, WORK) = range(9, 17)
IDLE = np.uint64(2**64 - 1)
FULL, LONG_PIECE = -1, -2
TEXT, AT, FOUND, PIECE_END, PART_END = range(5)  # of progress
LANES = 4
BITS_32, BITS_56 = np.uint64(32), np.uint64(56)


@inlined
def with_cuts(buf, start, i, m, joined, glued, rows):
    """The ends of up to BATCH pieces from ``rows[ENDS][i]`` on, long ones cut, in CUTS.

    Returns (pieces, next i). No pieces means that the first, which ends at ``CUTS[0]``, is
    longer than LONGEST.
    """
    ends, cuts = rows[ENDS], rows[CUTS]
    k = ZERO
    while i < m and k < np.uint64(BATCH):
        end = np.int64(ends[i])
        i += ONE
        if end - start > SHORT:
            cut = next_cut(buf, start, end, joined, glued)
            if cut - start > LONGEST:
                if k == ZERO:
                    cuts[k] = cut
                return k, i - ONE
            if cut < end:
                end = cut
                i -= ONE
        cuts[k] = end
        start = end
        k += ONE
    return k, i


@inlined
def plan(buf, begin, k, table, bits, rows):
    """Keys and slots of ``k`` pieces; each slot is prefetched."""
    cuts, slots, long = rows[CUTS], rows[SLOT], rows[MISSES]
    keys_0, keys_1 = rows[KEY_0], rows[KEY_1]
    n_long = ZERO
    start = begin
    for t in range(k):
        size = np.int64(cuts[t]) - start
        key_0, key_1 = short_key(buf, start, min(size, SHORT))
        at = home(key_0, key_1, bits)
        prefetch(table, np.int64(at << THREE))
        keys_0[t], keys_1[t], slots[t] = key_0, key_1, at
        long[n_long] = t
        n_long += np.uint64(size > SHORT)
        start += size
    for j in range(n_long):
        t = long[j]
        start = np.int64(cuts[t - ONE]) if t > ZERO else begin
        size = np.int64(cuts[t]) - start
        keys_0[t], keys_1[t] = hash_bytes(buf, start, size), LONG
        slots[t] = home(keys_0[t], LONG, bits)
        prefetch(table, np.int64(slots[t] << THREE))


@inlined
def store_ids(ids, count, at, table, spill, used):
    """Write the ids of one new piece into the slot ``at``."""
    first, second = np.uint64(count) << BITS_56, ZERO
    if count <= 4:
        first |= np.uint64(ids[0])
        if count > 1:
            first |= np.uint64(ids[1]) << BITS_32
        if count > 2:
            second |= np.uint64(ids[2])
        if count > 3:
            second |= np.uint64(ids[3]) << BITS_32
    else:
        second = np.uint64(used[2])
        for q in range(np.uint64(count)):
            spill[second + q] = ids[q]
        used[2] += count
    table[at + TWO] = first
    table[at + THREE] = second


@inlined
def search(k, table, rows):
    """Find the slots of ``k`` planned pieces; list those not there. Returns how many."""
    keys_0, keys_1, slots, misses = rows[KEY_0], rows[KEY_1], rows[SLOT], rows[MISSES]
    mask, missing = np.uint64(len(table) - 1), ZERO
    for t in range(k):
        key_0, key_1, at = keys_0[t], keys_1[t], slots[t]
        word = table[at + ONE]
        while word != ZERO and not (word == key_1 and table[at] == key_0):
            at = (at + np.uint64(4)) & mask
            word = table[at + ONE]
        slots[t] = at
        if word == ZERO:
            misses[missing] = t
            missing += ONE
    return missing


@inlined
def settle(buf, begin, missing, table, bits, seen, used, rows):
    """Give a slot to each missing piece.

    Returns how many are new; MISSES lists them then.
    """
    keys_0, keys_1, cuts = rows[KEY_0], rows[KEY_1], rows[CUTS]
    slots, misses = rows[SLOT], rows[MISSES]
    new = ZERO
    for j in range(missing):
        t = misses[j]
        start = np.int64(cuts[t - ONE]) if t > ZERO else begin
        size = np.int64(cuts[t]) - start
        at = find(table, bits, keys_0[t], keys_1[t], buf, start, size, seen)
        slots[t] = at
        if table[at + ONE] == ZERO:  # not met earlier in this batch either
            occupy(table, at, keys_0[t], keys_1[t], buf, start, size, seen, used)
            misses[new] = t
            new += ONE
    return new


@inner
def learn(
    buf,
    begin,
    new,
    table,
    spill,
    used,
    byte_ids,
    byte_ranks,
    pairs,
    made,
    rows,
    work,
):
    """Merge the new pieces and write their ids into their slots.

    A merge is a chain of reads, each waiting for the last, so LANES pieces are merged in
    turns: the processor works on them at once.
    """
    cuts, slots, misses, lanes = rows[CUTS], rows[SLOT], rows[MISSES], rows[LANE]
    todo = busy = ZERO
    for lane in range(LANES):
        lanes[lane] = IDLE
    while True:
        for lane in range(np.uint64(LANES)):
            t = lanes[lane]
            if t != IDLE:
                start = np.int64(cuts[t - ONE]) if t > ZERO else begin
                if merge_best(work[lane], np.int64(cuts[t]) - start, pairs, made):
                    continue
                count = gather(work[lane])
                store_ids(work[lane][IDS], count, slots[t], table, spill, used)
                lanes[lane] = IDLE
                busy -= ONE
            if todo < new:
                t = misses[todo]
                start = np.int64(cuts[t - ONE]) if t > ZERO else begin
                size = np.int64(cuts[t]) - start
                lay_out(buf, start, size, byte_ids, byte_ranks, work[lane])
                lanes[lane] = t
                todo += ONE
                busy += ONE
        if busy == ZERO:
            return


@inlined
def copy_out(k, table, spill, rows, out, o):
    """Write the ids of ``k`` pieces into ``out`` from ``o`` on; returns the new ``o``."""
    slots = rows[SLOT]
    for t in range(k):
        at = slots[t]
        first, second = table[at + TWO], table[at + THREE]
        count = np.int64(first >> BITS_56)
        if count <= 4:
            store64(out, o << 2, first & LOW_56)
            store64(out, (o << 2) + 8, second)
        else:
            for q in range(0, count, 2):
                store64(out, (o + q) << 2, load64(spill, (np.int64(second) + q) << 2))
        o += count
    return o


@inlined
def is_full(bits, seen, spill, used):
    """Whether the next batch might not fit."""
    crowded = (used[0] + BATCH) * 2 > (1 << bits)
    return crowded or used[1] + ROOM > len(seen) or used[2] + ROOM > len(spill)


def encoder_for(rule):
    """The kernel for one split pattern."""

    @kernel
    def encode_texts(address, o):
        """Write the ids of all texts of the buffer into ``out`` from ``o`` on.

        ``places`` is ``(3, texts)``: where each starts and stops, and, written here, how many
        ids there are up to its end. Returns the number of ids, or FULL when the cache needs
        room, or LONG_PIECE when :func:`encode_long` is needed; the next call goes on where
        ``progress`` says.
        """
        buf, places = view(address, BUFFER, np.uint8), view(address, PLACES, np.int64)
        classes, table = (
            view(address, CLASSES, np.uint8),
            view(address, TABLE, np.uint64),
        )
        seen, spill = view(address, SEEN, np.uint8), view(address, SPILL, np.uint32)
        used, progress = (
            view(address, USED, np.int64),
            view(address, PROGRESS, np.int64),
        )
        byte_ids, made = (
            view(address, BYTE_IDS, np.uint32),
            view(address, MADE, np.uint32),
        )
        byte_ranks = view(address, BYTE_RANKS, np.uint32)
        pairs, out = view(address, PAIRS, np.uint64), view(address, OUT, np.int32)
        joined, glued = view(address, JOINED, np.uint8), view(address, GLUED, np.uint8)
        rows = view_as(address, SCRATCH, (ROWS, COLUMNS), np.uint64)
        work = view_as(address, WORK, (LANES, 4, EDGE + 1), np.uint32)
        bits, texts = used[3], len(places) // 3
        for text in range(progress[TEXT], texts):
            at, n = max(progress[AT], places[text]), places[texts + text]
            m, pos, scan = 0, at, at + 1
            if progress[PIECE_END] > at:  # a piece was left in the middle
                m, pos = 1, progress[PIECE_END]
                rows[ENDS, ZERO], scan = pos, pos + 1
            while at < n:
                if m == 0:
                    m, pos, scan = piece_ends(
                        rule, buf, pos, scan, n, classes, rows[ENDS]
                    )
                i = ZERO
                while i < np.uint64(m):
                    progress[TEXT], progress[AT], progress[FOUND] = text, at, o
                    progress[PIECE_END] = rows[ENDS, i]
                    if is_full(bits, seen, spill, used):
                        return FULL
                    k, i = with_cuts(buf, at, i, np.uint64(m), joined, glued, rows)
                    if k == ZERO:
                        progress[PART_END] = rows[CUTS, ZERO]
                        return LONG_PIECE
                    plan(buf, at, k, table, bits, rows)
                    missing = search(k, table, rows)
                    if missing != ZERO:
                        new = settle(buf, at, missing, table, bits, seen, used, rows)
                        learn(
                            *(buf, at, new, table, spill, used),
                            *(byte_ids, byte_ranks, pairs, made, rows, work),
                        )
                    o = copy_out(k, table, spill, rows, out, o)
                    at = np.int64(rows[CUTS, k - ONE])
                m = 0
            places[2 * texts + text] = o
        progress[:] = 0
        return o

    return encode_texts


@kernel
def encode_long(address):
    """Merge the one piece that ``progress`` says is too long to cache."""
    buf, out = view(address, BUFFER, np.uint8), view(address, OUT, np.int32)
    byte_ids, made = view(address, BYTE_IDS, np.uint32), view(address, MADE, np.uint32)
    pairs, progress = view(address, PAIRS, np.uint64), view(address, PROGRESS, np.int64)
    start, end = progress[AT], progress[PART_END]
    progress[FOUND] = merge_long(
        buf, start, end - start, byte_ids, pairs, made, out, progress[FOUND]
    )
    progress[AT] = end


@kernel
def token_bytes(ids, blob, offsets, out):
    """The bytes of every id, one after another; returns how many."""
    o = 0
    for i in range(np.uint64(len(ids))):
        token = np.uint64(ids[i])
        start = offsets[token]
        size = offsets[token + ONE] - start
        for k in range(0, size, 8):
            store64(out, o + k, load64(blob, start + k))
        o += size
    return o
