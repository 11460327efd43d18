"""One batch of pieces: keys, the search for their slots, merging the new ones, copying out.

Each step is a simple loop over arrays, and a function that stands apart. What a batch
knows of its pieces lies in ``rows``: piece ``t`` goes from ``CUTS[t]`` to ``CUTS[t + 1]``,
its key is KEY_0 and KEY_1, its place in the table SLOT; MISSES lists those that are new.
"""

import numpy as np

from hornbook.tokenizer.kernels.cuts import may_be_cut, next_cut
from hornbook.tokenizer.kernels.jit import (
    ONE,
    ZERO,
    inlined,
    inner,
    load64,
    prefetch,
    stand_apart,
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
)
from hornbook.tokenizer.kernels.scanners import BUFFER, ENDS
from hornbook.tokenizer.kernels.slots import (
    LOW_56,
    SHORT,
    THREE,
    TWO,
    find,
    home,
    occupy,
    piece_key,
)

# What a state holds after what its scanner needs, in this order; see jit.addresses.
(PLACES, OUT, TABLE, SEEN, SPILL, USED, PROGRESS) = range(4, 11)
(BYTE_IDS, BYTE_RANKS, PAIRS, MADE, JOINED, GLUED, SCRATCH, WORK) = range(11, 19)
BATCH = 384  # the slots of a batch, a cache line each, stay in the first-level cache
CUTS, KEY_0, KEY_1, SLOT, MISSES, LANE = (np.uint64(row) for row in range(6))
ROWS, COLUMNS = 6, BATCH + 8
IDLE = np.uint64(2**64 - 1)
LANES = 4
BITS_32, BITS_56 = np.uint64(32), np.uint64(56)


@inner
def plan(address, begin, i, m):
    """Keys and slots of up to BATCH pieces, which begin at ``begin`` and end at ``ends[i:m]``.

    Long pieces are cut; each slot is prefetched. Returns (pieces, next i). No pieces means
    that the first, which ends at ``CUTS[1]``, is longer than LONGEST.
    """
    stand_apart()
    buf, ends = view(address, BUFFER, np.uint8), view(address, ENDS, np.uint64)
    table, bits = view(address, TABLE, np.uint64), view(address, USED, np.int64)[3]
    joined, glued = view(address, JOINED, np.uint8), view(address, GLUED, np.uint8)
    rows = view_as(address, SCRATCH, (ROWS, COLUMNS), np.uint64)
    cuts, slots = rows[CUTS], rows[SLOT]
    keys_0, keys_1 = rows[KEY_0], rows[KEY_1]
    k, start = ZERO, begin
    cuts[k] = begin
    while i < m and k < np.uint64(BATCH):
        end = piece_end = np.int64(ends[i])
        if end - start > SHORT and may_be_cut(buf, start, end):
            end = next_cut(buf, start, end, joined, glued)
        if end - start > LONGEST:
            cuts[k + ONE] = end
            return k, i
        key_0, key_1 = piece_key(buf, start, end - start)
        at = home(key_0, key_1, bits)
        prefetch(table, np.int64(at << THREE))
        keys_0[k], keys_1[k], slots[k] = key_0, key_1, at
        k += ONE
        cuts[k] = end
        start = end
        i += np.uint64(end == piece_end)
    return k, i


@inner
def search(address, k):
    """Find the slots of ``k`` planned pieces; list those not there. Returns how many."""
    stand_apart()
    buf, seen = view(address, BUFFER, np.uint8), view(address, SEEN, np.uint8)
    table = view(address, TABLE, np.uint64)
    rows = view_as(address, SCRATCH, (ROWS, COLUMNS), np.uint64)
    keys_0, keys_1, cuts = rows[KEY_0], rows[KEY_1], rows[CUTS]
    slots, misses = rows[SLOT], rows[MISSES]
    missing = ZERO
    for t in range(k):
        start = np.int64(cuts[t])
        size = np.int64(cuts[t + ONE]) - start
        at = find(table, slots[t], keys_0[t], keys_1[t], buf, start, size, seen)
        slots[t] = at
        if table[at + ONE] == ZERO:
            misses[missing] = t
            missing += ONE
    return missing


@inner
def settle(address, missing):
    """Give a slot to each missing piece.

    Returns how many are new; MISSES lists them then.
    """
    buf, seen = view(address, BUFFER, np.uint8), view(address, SEEN, np.uint8)
    table, used = view(address, TABLE, np.uint64), view(address, USED, np.int64)
    rows = view_as(address, SCRATCH, (ROWS, COLUMNS), np.uint64)
    keys_0, keys_1, cuts = rows[KEY_0], rows[KEY_1], rows[CUTS]
    slots, misses = rows[SLOT], rows[MISSES]
    new = ZERO
    for j in range(missing):
        t = misses[j]
        start = np.int64(cuts[t])
        size = np.int64(cuts[t + ONE]) - start
        at = find(table, slots[t], keys_0[t], keys_1[t], buf, start, size, seen)
        slots[t] = at
        if table[at + ONE] == ZERO:  # not met earlier in this batch either
            occupy(table, at, keys_0[t], keys_1[t], buf, start, size, seen, used)
            misses[new] = t
            new += ONE
    return new


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


@inner
def learn(address, new):
    """Merge the new pieces and write their ids into their slots.

    A merge is a chain of reads, each waiting for the last, so LANES pieces are merged in
    turns: the processor works on them at once.
    """
    stand_apart()
    buf, table = view(address, BUFFER, np.uint8), view(address, TABLE, np.uint64)
    spill, used = view(address, SPILL, np.uint32), view(address, USED, np.int64)
    byte_ids, made = view(address, BYTE_IDS, np.uint32), view(address, MADE, np.uint32)
    byte_ranks = view(address, BYTE_RANKS, np.uint32)
    pairs = view(address, PAIRS, np.uint64)
    rows = view_as(address, SCRATCH, (ROWS, COLUMNS), np.uint64)
    work = view_as(address, WORK, (LANES, 4, EDGE + 1), np.uint32)
    cuts, slots, misses, lanes = rows[CUTS], rows[SLOT], rows[MISSES], rows[LANE]
    todo = busy = ZERO
    for lane in range(LANES):
        lanes[lane] = IDLE
    while True:
        for lane in range(np.uint64(LANES)):
            t = lanes[lane]
            if t != IDLE:
                size = np.int64(cuts[t + ONE] - cuts[t])
                if merge_best(work[lane], size, pairs, made):
                    continue
                count = gather(work[lane])
                store_ids(work[lane][IDS], count, slots[t], table, spill, used)
                lanes[lane] = IDLE
                busy -= ONE
            if todo < new:
                t = misses[todo]
                size = np.int64(cuts[t + ONE] - cuts[t])
                lay_out(buf, cuts[t], size, byte_ids, byte_ranks, work[lane])
                lanes[lane] = t
                todo += ONE
                busy += ONE
        if busy == ZERO:
            return


@inner
def copy_out(address, k, o):
    """Write the ids of ``k`` pieces into ``out`` from ``o`` on; returns the new ``o``."""
    stand_apart()
    table, out = view(address, TABLE, np.uint64), view(address, OUT, np.int32)
    spill = view(address, SPILL, np.uint32)
    slots = view_as(address, SCRATCH, (ROWS, COLUMNS), np.uint64)[SLOT]
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
