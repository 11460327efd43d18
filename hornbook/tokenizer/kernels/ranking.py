"""The pairs of training: found by key through a hash index, ranked by count in a heap.

A pair has a record of four words in ``pairs``, one after another so that one read of
memory brings them all; ``at`` is where its record starts. The heap's items are of four
words too (the last is unused): count, key, and where the pair's record is.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, inlined_part, kernel, part, prefetch
from hornbook.tokenizer.kernels.slots import BITS_2, BITS_32, MIX_1

KEY, COUNT, START, SIZE = range(4)  # words of a record
PLACE = 2  # word of a heap's item, after its count and key, which are as above
ITS_COUNT, ITS_KEY = 0, 1
WORDS = 4
N_PAIRS, N_PLACES, N_HEAP, FLOOR, N_TOKENS = range(5)  # of state


@inlined_part
def pair_key(left, right):
    """Both ids in one word, ordered as the pair is."""
    return np.int64(left) << 32 | np.int64(right)


@inlined_part
def slot_of(index, key):
    """Where the search for a key begins."""
    return (np.uint64(key) * MIX_1 >> BITS_32) & np.uint64(len(index) - 1)


@part
def find_pair(index, pairs, key):
    """Where the record of a pair starts, or -1."""
    i = slot_of(index, key)
    while index[i] >= 0:
        at = np.uint64(index[i]) << BITS_2
        if pairs[at] == key:
            return np.int64(at)
        i = (i + ONE) & np.uint64(len(index) - 1)
    return np.int64(-1)


@part
def link_pair(index, key, at):
    """Make the record that starts at ``at`` findable by ``key``."""
    i = slot_of(index, key)
    while index[i] >= 0:
        i = (i + ONE) & np.uint64(len(index) - 1)
    index[i] = at >> 2


@inlined_part
def prefetch_pair(index, pairs, key):
    """Ask for a pair's record, whose place in the index was asked for before."""
    number = index[slot_of(index, key)]
    prefetch(pairs, np.int64(max(number, 0)) << 5)


@kernel
def relink(index, pairs, n_pairs):
    """Fill a new, empty index."""
    for number in range(n_pairs):
        link_pair(index, pairs[number << 2], number << 2)


@inlined_part
def comes_first(count, key, other_count, other_key):
    """The order of merging: more frequent first, then the smaller pair."""
    return count > other_count or (count == other_count and key < other_key)


@inlined_part
def put(heap, item, count, key, at):
    """Write an item of the heap."""
    i = np.uint64(item)
    heap[i], heap[i + ONE], heap[i + np.uint64(PLACE)] = count, key, at


@part
def sift_up(heap, i, count, key, at):
    """Place an item that belongs at heap position ``i`` or above."""
    while i > 0:
        parent = (i - 1) >> 1
        up = np.uint64(parent << 2)
        if not comes_first(count, key, heap[up], heap[up + ONE]):
            break
        put(heap, i << 2, heap[up], heap[up + ONE], heap[up + np.uint64(PLACE)])
        i = parent
    put(heap, i << 2, count, key, at)


@part
def sift_down(heap, size, count, key, at):
    """Place an item that takes the top's position, or belongs below."""
    i = 0
    while True:
        j = 2 * i + 1
        if j >= size:
            break
        down = np.uint64(j << 2)
        other = down + np.uint64(WORDS)
        if j + 1 < size and comes_first(
            heap[other], heap[other + ONE], heap[down], heap[down + ONE]
        ):
            j, down = j + 1, other
        if not comes_first(heap[down], heap[down + ONE], count, key):
            break
        put(heap, i << 2, heap[down], heap[down + ONE], heap[down + np.uint64(PLACE)])
        i = j
    put(heap, i << 2, count, key, at)


@part
def drop_top(heap, state):
    """Remove the heap's top."""
    state[N_HEAP] -= 1
    last = state[N_HEAP]
    if last > 0:
        item = last << 2
        sift_down(heap, last, heap[item], heap[item + ITS_KEY], heap[item + PLACE])


@part
def refill(pairs, heap, state):
    """Lower the floor and put all pairs that reach it into the empty heap; False if short."""
    lower, enough, stop = max(1, state[FLOOR] >> 2), 0, state[N_PAIRS] << 2
    for at in range(0, stop, WORDS):
        enough += pairs[at + COUNT] >= lower
    if enough * WORDS > len(heap):
        return False
    state[FLOOR] = lower
    for at in range(0, stop, WORDS):
        if pairs[at + COUNT] >= lower:
            sift_up(heap, state[N_HEAP], pairs[at + COUNT], pairs[at], at)
            state[N_HEAP] += 1
    return True


@part
def best_pair(pairs, heap, state):
    """Where the record of the pair to merge now is; it is on top of the heap.

    Counts in the heap may be out of date (too high): the top is refreshed until it is
    true. Only pairs of FLOOR or more are in it; an empty heap lowers the floor. Returns
    -1 when the heap is short of room, -2 when no pair is left.
    """
    while True:
        if state[N_HEAP] == 0:
            if state[FLOOR] <= 1:
                return -2
            if not refill(pairs, heap, state):
                return -1
            continue
        at, key = heap[PLACE], heap[ITS_KEY]
        count = pairs[at + COUNT]
        if count == heap[ITS_COUNT]:
            return at
        if count >= state[FLOOR]:
            sift_down(heap, state[N_HEAP], count, key, at)
        else:
            drop_top(heap, state)
