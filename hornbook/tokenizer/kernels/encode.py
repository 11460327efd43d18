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
    inner,
    kernel,
    load64,
    prefetch,
    store64,
    view,
)
from hornbook.tokenizer.kernels.merge import EDGE, IDS, LONGEST, merge_long, merge_piece
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
from hornbook.tokenizer.kernels.windows import piece_ends

BATCH = 1024
ROOM = BATCH * (LONGEST + 9)  # how much of seen and spill a batch can need at most
ENDS, CUTS, KEY_0, KEY_1, SLOT, MISSES = (np.uint64(row) for row in range(6))
ROWS, COLUMNS = 6, BATCH + 128
# What a state holds, in this order; see jit.addresses.
(CLASSES, TABLE, SEEN, SPILL, USED, BYTE_IDS, BYTE_RANKS) = range(7)
(PAIRS, MADE, JOINED, GLUED, SCRATCH, WORK) = range(7, 13)
BITS_32, BITS_56 = np.uint64(32), np.uint64(56)
UNCACHED = np.uint64(2**64 - 1)


@inner
def plan(buf, start, i, m, table, bits, joined, glued, rows):
    """Keys and slots of up to BATCH pieces from ``rows[ENDS][i]`` on, long ones cut.

    Returns (pieces planned, next i).
    """
    ends, cuts, slots = rows[ENDS], rows[CUTS], rows[SLOT]
    keys_0, keys_1 = rows[KEY_0], rows[KEY_1]
    k = ZERO
    while i < m and k < np.uint64(BATCH):
        end = np.int64(ends[i])
        size = end - start
        if size > SHORT:
            cut = next_cut(buf, start, end, joined, glued)
            if cut == end:
                i += ONE
            end, size = cut, cut - start
        else:
            i += ONE
        key_0, key_1 = piece_key(buf, start, min(size, LONGEST + 1))
        at = home(key_0, key_1, bits)
        prefetch(table, np.int64(at << THREE))
        keys_0[k], keys_1[k], slots[k], cuts[k] = key_0, key_1, at, end
        start = end
        k += ONE
    return k, i


@inner
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


@inner
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
def learn(
    buf,
    begin,
    missing,
    table,
    bits,
    seen,
    spill,
    used,
    byte_ids,
    byte_ranks,
    pairs,
    made,
    rows,
    work,
):
    """Give a slot to each missing piece; a piece too long for one is marked UNCACHED."""
    keys_0, keys_1, cuts = rows[KEY_0], rows[KEY_1], rows[CUTS]
    slots, misses = rows[SLOT], rows[MISSES]
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
            count = merge_piece(
                buf, start, size, byte_ids, byte_ranks, pairs, made, work
            )
            store_ids(work[IDS], count, at, table, spill, used)


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


@inner
def is_full(bits, seen, spill, used):
    """Whether the next batch might not fit."""
    crowded = (used[0] + BATCH) * 2 > (1 << bits)
    return crowded or used[1] + ROOM > len(seen) or used[2] + ROOM > len(spill)


@inner
def encode_text(buf, at, n, out, o, state):
    """Ids of ``buf[at:n]`` into ``out`` from ``o`` on.

    Returns (o, at); ``at`` < n when the caller must first make room in the cache.
    """
    classes = view(state, CLASSES, np.uint8)
    table, seen = view(state, TABLE, np.uint64), view(state, SEEN, np.uint8)
    spill, used = view(state, SPILL, np.uint32), view(state, USED, np.int64)
    byte_ids, byte_ranks = (
        view(state, BYTE_IDS, np.uint32),
        view(state, BYTE_RANKS, np.uint32),
    )
    pairs, made = view(state, PAIRS, np.uint64), view(state, MADE, np.uint32)
    joined, glued = view(state, JOINED, np.uint8), view(state, GLUED, np.uint8)
    rows = view(state, SCRATCH, np.uint64).reshape((ROWS, COLUMNS))
    work = view(state, WORK, np.uint32).reshape((4, EDGE + 1))
    rule, bits = used[3], used[4]
    pos, scan = at, at + 1
    while pos < n:
        m, pos, scan = piece_ends(buf, pos, scan, n, classes, rule, rows[ENDS])
        i = ZERO
        while i < np.uint64(m):
            if is_full(bits, seen, spill, used):
                return o, at
            k, i = plan(buf, at, i, np.uint64(m), table, bits, joined, glued, rows)
            missing = search(k, table, rows)
            if missing != ZERO:
                learn(
                    *(buf, at, missing, table, bits, seen, spill, used),
                    *(byte_ids, byte_ranks, pairs, made, rows, work),
                )
            o = copy_out(buf, at, k, table, spill, byte_ids, pairs, made, rows, out, o)
            at = np.int64(rows[CUTS][k - ONE])
    return o, at


@kernel
def encode_texts(buf, texts, text, at, out, o, state):
    """Texts ``text``, ``text + 1``, ... of ``buf``, the first of them from ``at`` on.

    ``texts`` is ``(3, texts)``: where each starts and stops, and, written here, how many ids
    there are up to its end. Returns (o, text, at), for the next call when the cache needs
    room.
    """
    while text < texts.shape[1]:
        at = max(at, texts[0, text])
        stop = texts[1, text]
        o, at = encode_text(buf, at, stop, out, o, state)
        if at < stop:
            break
        texts[2, text] = o
        text += 1
    return o, text, at


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
