"""Encoding, about a thousand pieces at a time, in simple loops over arrays.

Most pieces have been seen before, so their ids are in a table (``slots.py``). A batch goes
through: keys, and a prefetch of each slot; the search for the slots; merging the pieces
that are new; copying the ids out. Words 2 and 3 of a slot hold up to four ids::

    word 2: count << 56 | id_1 << 32 | id_0        word 3: id_3 << 32 | id_2

and for more than four, word 3 says where in ``spill`` they are. Long pieces are first cut
where no token can reach (:func:`next_cut`), and the parts looked up.
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
    state_at,
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
UNCACHED = IDLE = np.uint64(2**64 - 1)
LANES = 4
BITS_32, BITS_56 = np.uint64(32), np.uint64(56)


@inlined
def with_cuts(buf, start, i, m, joined, glued, rows):
    """The ends of up to BATCH pieces from ``rows[ENDS][i]`` on, long ones cut, in CUTS.

    Returns (pieces, next i).
    """
    ends, cuts = rows[ENDS], rows[CUTS]
    k = ZERO
    while i < m and k < np.uint64(BATCH):
        end = np.int64(ends[i])
        i += ONE
        if end - start > SHORT:
            cut = next_cut(buf, start, end, joined, glued)
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
        size = min(np.int64(cuts[t]) - start, LONGEST + 1)
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
    """Give a slot to each missing piece; a piece too long for one is marked UNCACHED.

    Returns how many are new; MISSES lists them then.
    """
    keys_0, keys_1, cuts = rows[KEY_0], rows[KEY_1], rows[CUTS]
    slots, misses = rows[SLOT], rows[MISSES]
    new = ZERO
    for j in range(missing):
        t = misses[j]
        start = np.int64(cuts[t - ONE]) if t > ZERO else begin
        size = np.int64(cuts[t]) - start
        if size > LONGEST:
            slots[t] = UNCACHED
            continue
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


@inner
def copy_out(buf, begin, k, table, spill, byte_ids, pairs, made, rows, out, o):
    """Write the ids of ``k`` pieces into ``out`` from ``o`` on; returns the new ``o``."""
    cuts, slots = rows[CUTS], rows[SLOT]
    for t in range(k):
        at = slots[t]
        if at == UNCACHED:
            start = np.int64(cuts[t - ONE]) if t > ZERO else begin
            size = np.int64(cuts[t]) - start
            o = merge_long(buf, start, size, byte_ids, pairs, made, out, o)
            continue
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


@kernel
def encode_texts(address, o):
    """Write the ids of all texts of the buffer into ``out`` from ``o`` on.

    ``places`` is ``(3, texts)``: where each starts and stops, and, written here, how many ids
    there are up to its end. Returns the number of ids, or -1 when the cache needs room: the
    next call goes on where ``progress`` says (text, byte, o).
    """
    state = state_at(address)
    buf, places = view(state, BUFFER, np.uint8), view(state, PLACES, np.int64)
    classes, table = view(state, CLASSES, np.uint8), view(state, TABLE, np.uint64)
    seen, spill = view(state, SEEN, np.uint8), view(state, SPILL, np.uint32)
    used, progress = view(state, USED, np.int64), view(state, PROGRESS, np.int64)
    byte_ids, made = view(state, BYTE_IDS, np.uint32), view(state, MADE, np.uint32)
    byte_ranks, pairs = view(state, BYTE_RANKS, np.uint32), view(state, PAIRS, np.uint64)
    joined, glued = view(state, JOINED, np.uint8), view(state, GLUED, np.uint8)
    rows = view_as(state, SCRATCH, (ROWS, COLUMNS), np.uint64)
    work = view_as(state, WORK, (LANES, 4, EDGE + 1), np.uint32)
    out = view(state, OUT, np.int32)
    rule, bits, texts = used[3], used[4], len(places) // 3
    for text in range(progress[0], texts):
        at, n = max(progress[1], places[text]), places[texts + text]
        pos, scan = at, at + 1
        while pos < n:
            m, pos, scan = piece_ends(buf, pos, scan, n, classes, rule, rows[ENDS])
            i = ZERO
            while i < np.uint64(m):
                if is_full(bits, seen, spill, used):
                    progress[0], progress[1], progress[2] = text, at, o
                    return -1
                k, i = with_cuts(buf, at, i, np.uint64(m), joined, glued, rows)
                plan(buf, at, k, table, bits, rows)
                missing = search(k, table, rows)
                if missing != ZERO:
                    new = settle(buf, at, missing, table, bits, seen, used, rows)
                    learn(
                        *(buf, at, new, table, spill, used),
                        *(byte_ids, byte_ranks, pairs, made, rows, work),
                    )
                o = copy_out(
                    *(buf, at, k, table, spill, byte_ids, pairs, made, rows, out, o)
                )
                at = np.int64(rows[CUTS][k - ONE])
        places[2 * texts + text] = o
    progress[0] = progress[1] = 0
    return o


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
