"""Merging the bytes of one piece: the table of pairs, short pieces, long pieces."""

import numpy as np

from hornbook.tokenizer.kernels.jit import (
    ONE,
    ZERO,
    inlined,
    inner,
    kernel,
    smallest_of_16,
)
from hornbook.tokenizer.kernels.slots import MIX_1, MIX_2

MAX_TOKENS = 1 << 20  # ids take 20 bits of a pair's word; the last is NOBODY
NONE = np.uint64(2**64 - 1)
NEVER = np.uint32(2**32 - 1)  # the rank of a pair that doesn't merge
STOP = np.uint32(0xFFFFFF00)  # keys from here on hold no rank
NOBODY = np.uint32(MAX_TOKENS - 1)  # the neighbour beyond both ends, part of no pair
EDGE = 271  # where NOBODY sits
LONGEST = 255  # bytes of a piece that a lane can take: positions are 8 bits
BITS_8, BITS_20, BITS_24 = np.uint64(8), np.uint64(20), np.uint64(24)
LOW_24 = np.uint64((1 << 24) - 1)
RANK_SHIFT, LOW_8 = np.uint32(8), np.uint32(255)
IDS, KEYS, NEXT, BACK = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)


@inlined
def rank_of(pairs, left, right):
    """When ``left right`` merges, or NEVER.

    A cuckoo table: a pair lies in one of two buckets of two words, so a lookup is four
    reads without a branch. A word is left (20 bits), right (20), rank (24).
    """
    key = (np.uint64(left) << BITS_20) | np.uint64(right)
    mask = np.uint64(len(pairs) - 2)
    i = ((key * MIX_1) >> BITS_24) & mask
    j = ((key * MIX_2) >> BITS_24) & mask
    rank = NEVER
    for word in (pairs[i], pairs[i + ONE], pairs[j], pairs[j + ONE]):
        if word >> BITS_24 == key:
            rank = np.uint32(word & LOW_24)
    return rank


@inner
def add_pair(pairs, left, right, rank):
    """Insert a pair; False when the table is too full."""
    word = (((np.uint64(left) << BITS_20) | np.uint64(right)) << BITS_24) | np.uint64(
        rank
    )
    mask, last = np.uint64(len(pairs) - 2), NONE
    for step in range(1000):
        key = word >> BITS_24
        i = ((key * MIX_1) >> BITS_24) & mask
        j = ((key * MIX_2) >> BITS_24) & mask
        for place in (i, i + ONE, j, j + ONE):
            if pairs[place] == NONE:
                pairs[place] = word
                return True
        place = j if i == last else i  # push one out, not where we were pushed out of
        last = place
        place += np.uint64(step & 1)
        word, pairs[place] = pairs[place], word
    return False


@kernel
def fill_pairs(pairs, left, right):
    """Insert every pair; the first of equal ones counts. False when too full."""
    for rank in range(len(left)):
        known = rank_of(pairs, left[rank], right[rank]) != NEVER
        if not known and not add_pair(pairs, left[rank], right[rank], rank):
            return False
    return True


@inlined
def lay_out(buf, start, size, byte_ids, byte_ranks, lane):
    """Begin with the bytes of ``buf[start:start + size]``, at most LONGEST, in ``lane``.

    ``lane[KEYS][i]`` is ``rank << 8 | i``: the smallest key is the leftmost best pair.
    Merged-away positions are skipped through the links NEXT and BACK; both ends link to
    EDGE, so that merging tests for no end.
    """
    ids, keys, after, back = lane[IDS], lane[KEYS], lane[NEXT], lane[BACK]
    last, base = np.uint64(size - 1), np.uint64(start)
    for i in range(last | np.uint64(15), last - ONE, -1):
        keys[np.uint64(i)] = NEVER  # up to whole vectors
    for i in range(np.uint64(size)):
        byte = np.uint64(buf[base + i])
        ids[i] = byte_ids[byte]
        after[i], back[i] = i + ONE, i - ONE
        pair = (byte << BITS_8) | np.uint64(buf[base + i + ONE])
        if i < last:
            keys[i] = (byte_ranks[pair] << RANK_SHIFT) | np.uint32(i)
    after[last], back[ZERO] = EDGE, EDGE
    ids[np.uint64(EDGE)] = NOBODY


@inlined
def merge_best(lane, size, pairs, made):
    """Merge the best pair of a laid out piece; False when there is none."""
    ids, keys, after, back = lane[IDS], lane[KEYS], lane[NEXT], lane[BACK]
    best = smallest_of_16(keys, 0)
    for i in range(16, size, 16):
        best = min(best, smallest_of_16(keys, i))
    if best >= STOP:
        return False
    i = np.uint64(best & LOW_8)
    new = made[np.uint64(best >> RANK_SHIFT)]
    gone = np.uint64(after[i])
    right, before = np.uint64(after[gone]), np.uint64(back[i])
    ids[i], after[i], back[right], keys[gone] = new, right, i, NEVER
    rank, rank_before = (
        rank_of(pairs, new, ids[right]),
        rank_of(pairs, ids[before], new),
    )
    keys[i] = (rank << RANK_SHIFT) | np.uint32(i)
    keys[before] = (rank_before << RANK_SHIFT) | np.uint32(before)
    return True


@inlined
def gather(lane):
    """Move the ids that are left to the front of ``lane[IDS]``; returns how many."""
    ids, after = lane[IDS], lane[NEXT]
    i, count = ZERO, 0
    while i != np.uint64(EDGE):
        ids[np.uint64(count)] = ids[i]
        count += 1
        i = np.uint64(after[i])
    return count


@inner
def push(heap, size, value):
    """Add ``value`` to a min-heap of ``size`` items; returns the new size."""
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if heap[parent] <= value:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = value
    return size + 1


@inner
def pop(heap, size):
    """(smallest, new size) of a min-heap."""
    top, size = heap[0], size - 1
    value, i = heap[size], 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = value
    return top, size


@inner
def merge_long(buf, start, size, byte_ids, pairs, made, marks, links, heap, out, o):
    """BPE of a piece of any length straight into ``out`` from ``o`` on, in O(n log n).

    Linked list and a heap of ``rank << 32 | position``; returns the new ``o``. ``marks`` and
    ``links`` are room for two rows of ``size``, ``heap`` for twice as many and eight.
    """
    ids, rank, after, back = marks[0], marks[1], links[0], links[1]
    rank[:], waiting = NEVER, 0
    for i in range(size):
        ids[i] = byte_ids[buf[start + i]]
        after[i], back[i] = i + 1, i - 1
    for i in range(size - 1):
        rank[i] = rank_of(pairs, ids[i], ids[i + 1])
        if rank[i] != NEVER:
            waiting = push(
                heap, waiting, (np.uint64(rank[i]) << np.uint64(32)) | np.uint64(i)
            )
    while waiting > 0:
        top, waiting = pop(heap, waiting)
        i, r = np.int64(top & np.uint64(0xFFFFFFFF)), np.uint32(top >> np.uint64(32))
        if rank[i] != r:
            continue  # one of the two has merged elsewhere meanwhile
        gone = after[i]
        right, before = after[gone], back[i]
        ids[i], after[i], rank[gone], rank[i] = made[r], right, NEVER, NEVER
        if right < size:
            back[right] = i
            rank[i] = rank_of(pairs, ids[i], ids[right])
        if before >= 0:
            rank[before] = rank_of(pairs, ids[before], ids[i])
        for place in (i, np.int64(before)):
            if place >= 0 and rank[place] != NEVER:
                key = (np.uint64(rank[place]) << np.uint64(32)) | np.uint64(place)
                waiting = push(heap, waiting, key)
    i = 0
    while i < size:
        out[o] = ids[i]
        o += 1
        i = after[i]
    return o


@kernel
def recover_pairs(blob, offsets, ids, byte_ids, byte_ranks, table, pairs, work):
    """The two tokens that make each token of a vocabulary given by its bytes alone.

    Token ``t`` has the bytes ``blob[offsets[t]:offsets[t + 1]]`` and the id ``ids[t]``, in
    the order of merging. Returns how many were recovered before one that isn't two.
    """
    for t in range(len(ids)):
        start = offsets[t]
        size = offsets[t + 1] - start
        if size < 2 or size > LONGEST:
            return t
        lay_out(blob, start, size, byte_ids, byte_ranks, work)
        while merge_best(work, size, table, ids):
            pass
        if gather(work) != 2:
            return t
        pairs[t, 0], pairs[t, 1] = work[IDS][0], work[IDS][1]
        if not add_pair(table, pairs[t, 0], pairs[t, 1], t):
            return t
        if size == 2:
            byte_ranks[np.int64(blob[start]) << 8 | np.int64(blob[start + 1])] = t
    return len(ids)
