"""The pairs of training: found by key through a hash index, ranked by count in a heap."""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, inner, kernel
from hornbook.tokenizer.kernels.slots import MIX_1

KEY, COUNT, START, SIZE = (np.uint64(row) for row in range(4))  # rows of pairs
N_PAIRS, N_PLACES, N_HEAP, FLOOR, N_TOKENS = (
    np.uint64(n) for n in range(5)
)  # of state
BITS_32 = np.uint64(32)


@inner
def pair_key(left, right):
    """Both ids in one word, ordered as the pair is."""
    return np.int64(left) << 32 | np.int64(right)


@inner
def find_pair(index, pairs, key):
    """The column of a pair in ``pairs``, or -1."""
    mask = np.uint64(len(index) - 1)
    i = (np.uint64(key) * MIX_1 >> BITS_32) & mask
    while index[i] >= 0 and pairs[KEY, np.uint64(index[i])] != key:
        i = (i + ONE) & mask
    return np.int64(index[i])


@inner
def link_pair(index, key, column):
    """Make ``column`` findable by ``key``."""
    mask = np.uint64(len(index) - 1)
    i = (np.uint64(key) * MIX_1 >> BITS_32) & mask
    while index[i] >= 0:
        i = (i + ONE) & mask
    index[i] = column


@kernel
def relink(index, pairs, n_pairs):
    """Fill a new, empty index."""
    for column in range(n_pairs):
        link_pair(index, pairs[KEY, column], column)


@inner
def comes_first(count, key, other_count, other_key):
    """The order of merging: more frequent first, then the smaller pair."""
    return count > other_count or (count == other_count and key < other_key)


@inner
def sift_up(heap, i, count, key, column):
    """Place an item that belongs at heap position ``i`` or above."""
    while i > 0:
        parent = (i - 1) >> 1
        if not comes_first(count, key, heap[0, parent], heap[1, parent]):
            break
        heap[0, i], heap[1, i] = heap[0, parent], heap[1, parent]
        heap[2, i] = heap[2, parent]
        i = parent
    heap[0, i], heap[1, i], heap[2, i] = count, key, column


@inner
def sift_down(heap, size, count, key, column):
    """Place an item that takes the top's position, or belongs below."""
    i = 0
    while True:
        j = 2 * i + 1
        if j >= size:
            break
        if j + 1 < size and comes_first(
            heap[0, j + 1], heap[1, j + 1], heap[0, j], heap[1, j]
        ):
            j += 1
        if not comes_first(heap[0, j], heap[1, j], count, key):
            break
        heap[0, i], heap[1, i], heap[2, i] = heap[0, j], heap[1, j], heap[2, j]
        i = j
    heap[0, i], heap[1, i], heap[2, i] = count, key, column


@inner
def drop_top(heap, state):
    """Remove the heap's top."""
    state[N_HEAP] -= 1
    last = state[N_HEAP]
    if last > 0:
        sift_down(heap, last, heap[0, last], heap[1, last], heap[2, last])


@inner
def best_pair(pairs, heap, state):
    """The column of the pair to merge now, on top of the heap.

    Counts in the heap may be out of date (too high): the top is refreshed until it is
    true. Only pairs of FLOOR or more are in it; an empty heap lowers the floor. Returns
    -1 when the heap is short of room, -2 when no pair is left.
    """
    while True:
        if state[N_HEAP] == 0:
            if state[FLOOR] <= 1:
                return -2
            lower = max(1, state[FLOOR] >> 2)
            enough = 0
            for column in range(state[N_PAIRS]):
                enough += pairs[COUNT, column] >= lower
            if enough > heap.shape[1]:
                return -1
            state[FLOOR] = lower
            for column in range(state[N_PAIRS]):
                if pairs[COUNT, column] >= lower:
                    key = pairs[KEY, column]
                    sift_up(heap, state[N_HEAP], pairs[COUNT, column], key, column)
                    state[N_HEAP] += 1
            continue
        column = heap[2, 0]
        count = pairs[COUNT, column]
        if count == heap[0, 0]:
            return column
        if count >= state[FLOOR]:
            sift_down(heap, state[N_HEAP], count, heap[1, 0], column)
        else:
            drop_top(heap, state)
