"""One batch of pieces: keys, the search for their slots, merging the new ones, copying out.

Simple loops over arrays. What a batch knows of its pieces lies in ``rows``: where they end
(CUTS), their keys and slots (KEY_0, KEY_1, SLOT), which of them are new (MISSES).
"""

import numpy as np

from hornbook.tokenizer.kernels.cuts import next_cut
from hornbook.tokenizer.kernels.jit import (
    ONE,
    ZERO,
    inlined,
    inner,
    load64,
    prefetch,
    store64,
)
from hornbook.tokenizer.kernels.merge import (
    IDS,
    LONGEST,
    gather,
    lay_out,
    merge_best,
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

BATCH = 256  # the slots of a batch, a cache line each, stay in the first-level cache
CUTS, KEY_0, KEY_1, SLOT, MISSES, LANE = (np.uint64(row) for row in range(6))
ROWS, COLUMNS = 6, BATCH + 128
IDLE = np.uint64(2**64 - 1)
LANES = 4
BITS_32, BITS_56 = np.uint64(32), np.uint64(56)


@inlined
def with_cuts(buf, start, i, m, joined, glued, ends, rows):
    """The ends of up to BATCH pieces from ``ends[i]`` on, long ones cut, in CUTS.

    Returns (pieces, next i). No pieces means that the first, which ends at ``CUTS[0]``, is
    longer than LONGEST.
    """
    cuts = rows[CUTS]
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
