"""Encoding, about a thousand pieces at a time, in simple loops over arrays.

Most pieces have been seen before, so their ids are in a table (``slots.py``). A batch goes
through: keys, and a prefetch of each slot; the search for the slots; merging the pieces
that are new; copying the ids out. Words 2 and 3 of a slot hold up to four ids::

    word 2: count << 56 | id_1 << 32 | id_0        word 3: id_3 << 32 | id_2

and for more than four, word 3 says where in ``spill`` they are. Long pieces are first cut
where no token can reach (:func:`next_cut`), and the parts looked up.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, ZERO, kernel, load64, prefetch, store64
from hornbook.tokenizer.kernels.merge import IDS, LONGEST, merge_long, merge_piece
from hornbook.tokenizer.kernels.scan import code_point
from hornbook.tokenizer.kernels.slots import (
    LONG,
    LOW_56,
    MIX_1,
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
SIX, SEVEN, EIGHT, BITS_32, BITS_56 = (np.uint64(n) for n in (6, 7, 8, 32, 56))
UNCACHED = np.uint64(2**64 - 1)
JOINED_BITS = 20


@kernel
def character_pair(a, b):
    """Which bit of ``joined`` stands for the characters ``a b``."""
    key = (np.uint64(a) << np.uint64(21)) | np.uint64(b)
    return key * MIX_1 >> np.uint64(64 - JOINED_BITS)


@kernel
def next_cut(buf, start, end, joined, glued):
    """The first place in ``buf[start:end]`` that no token spans, else ``end``.

    BPE never merges across a character boundary whose two characters (``joined``, bits)
    and whose two bytes (``glued``) occur inside no token.
    """
    point, size = code_point(buf, start)
    i = start + size
    while i < end:
        following, size = code_point(buf, i)
        bit = character_pair(point, following)
        together = (joined[bit >> np.uint64(3)] >> (bit & SEVEN)) & ONE
        if together == ZERO:
            edge = (np.uint64(buf[np.uint64(i - 1)]) << EIGHT) | np.uint64(
                buf[np.uint64(i)]
            )
            if not glued[edge]:
                return i
        point = following
        i += size
    return end


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
def is_full(bits, seen, spill, used):
    """Whether the next batch might not fit."""
    crowded = (used[0] + BATCH) * 2 > (1 << bits)
    return crowded or used[1] + ROOM > len(seen) or used[2] + ROOM > len(spill)


@kernel
def encode_text(
    buf,
    at,
    n,
    classes,
    rule,
    out,
    o,
    table,
    bits,
    seen,
    spill,
    used,
    byte_ids,
    byte_ranks,
    pairs,
    made,
    joined,
    glued,
    rows,
    work,
):
    """Ids of ``buf[at:n]`` into ``out`` from ``o`` on.

    Returns (o, at); ``at`` < n when the caller must first make room in the cache.
    """
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
def encode_texts(
    buf,
    starts,
    stops,
    text,
    at,
    counts,
    classes,
    rule,
    out,
    o,
    table,
    bits,
    seen,
    spill,
    used,
    byte_ids,
    byte_ranks,
    pairs,
    made,
    joined,
    glued,
    rows,
    work,
):
    """Texts ``text``, ``text + 1``, ... of ``buf``; ``counts[t]`` ids lie before text t + 1.

    Returns (o, text, at), for the next call when the cache needs room.
    """
    while text < len(starts):
        at = max(at, starts[text])
        o, at = encode_text(
            *(buf, at, stops[text], classes, rule, out, o),
            *(table, bits, seen, spill, used),
            *(byte_ids, byte_ranks, pairs, made, joined, glued, rows, work),
        )
        if at < stops[text]:
            break
        counts[text] = o
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
