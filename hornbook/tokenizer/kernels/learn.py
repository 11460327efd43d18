"""Learning merges from counted words, with exact counts that are never recomputed.

The words lie end to end in ``cells`` (symbol, weight), -1 between them. **A token of k
bytes writes its id into its first and its last cell**, so both neighbours are one read
away and no links are needed: the token before cell p ends at p - 1, the one after starts
at p + length.

A pair (x, new) can only come into being in the merge that makes ``new``. So each pair has
one list of places, written once, in order; later some of them go stale and fail a
comparison. A merge visits the pair's places once and adds up, per distinct neighbour, what
its pairs lose and what the new pairs gain; the table of pairs is touched once for each.

The kernel never allocates: :func:`run` returns when an array is short, and the caller
grows it. Of equally frequent pairs the smallest (left, right) merges first.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import inner, kernel, prefetch
from hornbook.tokenizer.kernels.ranking import (
    COUNT,
    FLOOR,
    KEY,
    N_HEAP,
    N_PAIRS,
    N_PLACES,
    N_TOKENS,
    SIZE,
    START,
    best_pair,
    drop_top,
    find_pair,
    link_pair,
    pair_key,
    sift_up,
)

WEIGHT, TIMES, CURSOR, TOUCHED = (np.uint64(row) for row in range(4))  # rows of a side
LEFT, RIGHT = np.uint64(0), np.uint64(1)
AT, BEFORE, AFTER = (np.uint64(row) for row in range(3))  # rows of visits
DONE, PAIRS_SHORT, PLACES_SHORT, HEAP_SHORT, VISITS_SHORT, EXHAUSTED = range(6)


@kernel
def byte_pairs(cells, weights, times):
    """Add up weight and number of places of each pair of neighbouring bytes."""
    for p in range(len(cells) - 1):
        a, b = cells[p, 0], cells[p + 1, 0]
        if a >= 0 and b >= 0:
            weights[a << 8 | b] += cells[p, 1]
            times[a << 8 | b] += 1


@kernel
def first_pairs(cells, weights, times, cursor, pairs, index, places, state):
    """Enter the pairs of bytes and their places; ``cursor`` is room for 65,536 numbers."""
    for x in range(1 << 16):
        cursor[x] = state[N_PLACES]
        if times[x]:
            column = state[N_PAIRS]
            pairs[KEY, column], pairs[COUNT, column] = (
                pair_key(x >> 8, x & 255),
                weights[x],
            )
            pairs[START, column], pairs[SIZE, column] = state[N_PLACES], times[x]
            link_pair(index, pairs[KEY, column], column)
            state[N_PAIRS] += 1
            state[N_PLACES] += times[x]
            state[FLOOR] = max(state[FLOOR], weights[x] + 1)
    for p in range(len(cells) - 1):
        a, b = cells[p, 0], cells[p + 1, 0]
        if a >= 0 and b >= 0:
            x = a << 8 | b
            places[cursor[x]] = p
            cursor[x] += 1


@inner
def shortage(pairs, index, places, heap, visits, column, state):
    """Which array is too short to merge the pair in ``column``; DONE for none."""
    times = pairs[SIZE, column]
    fresh = min(2 * times, 2 * state[N_TOKENS]) + 1  # at most so many new pairs
    needed = state[N_PAIRS] + fresh
    if needed > pairs.shape[1] or needed * 2 > len(index):
        return PAIRS_SHORT
    if state[N_PLACES] + 2 * times > len(places):
        return PLACES_SHORT
    if state[N_HEAP] + fresh > heap.shape[1]:
        return HEAP_SHORT
    return VISITS_SHORT if times > visits.shape[1] else DONE


@inner
def note(side, touched, neighbour, weight):
    """Add one place to a neighbour's sums; returns how many neighbours there are now."""
    who = np.uint64(neighbour)
    if side[TIMES, who] == 0:
        side[TOUCHED, np.uint64(touched)] = neighbour
        touched += 1
    side[WEIGHT, who] += weight
    side[TIMES, who] += 1
    return touched


@inner
def merge_places(cells, lengths, places, pairs, column, new, sides, visits):
    """Merge the pair wherever it still stands, and sum up its neighbours.

    Returns (visits, left neighbours, right neighbours, weight and number of places
    where the token before is ``new`` itself).
    """
    key = pairs[KEY, column]
    a, b = np.int32(key >> 32), np.int32(key & 0xFFFFFFFF)
    to_b, size_b = np.int64(lengths[a]), np.int64(lengths[b])
    m = n_left = n_right = own_weight = own_times = 0
    start, stop = pairs[START, column], pairs[START, column] + pairs[SIZE, column]
    for i in range(start, stop):
        prefetch(cells, np.int64(places[min(i + 12, stop - 1)]) << 3)
        p = np.int64(places[i])
        q = p + to_b
        if cells[np.uint64(p), 0] != a or cells[np.uint64(q), 0] != b:
            continue
        weight = np.int64(cells[np.uint64(p), 1])
        before, after = cells[np.uint64(p - 1), 0], cells[np.uint64(q + size_b), 0]
        cells[np.uint64(q), 0] = -2
        cells[np.uint64(p), 0] = new
        cells[np.uint64(q + size_b - 1), 0] = new
        visit = np.uint64(m)
        visits[AT, visit], visits[BEFORE, visit], visits[AFTER, visit] = (
            p,
            before,
            after,
        )
        m += 1
        if before == new:
            own_weight += weight
            own_times += 1
        elif before >= 0:
            n_left = note(sides[LEFT], n_left, before, weight)
        if after >= 0:
            n_right = note(sides[RIGHT], n_right, after, weight)
    return m, n_left, n_right, own_weight, own_times


@inner
def lose(pairs, index, key, weight):
    """Take ``weight`` from a pair's count."""
    column = find_pair(index, pairs, key)
    if column >= 0:
        pairs[COUNT, np.uint64(column)] -= weight


@inner
def gain(pairs, index, heap, state, left, right, weight, times):
    """Enter a new pair; returns where its places go, or -1 if it doesn't occur."""
    if weight <= 0:
        return np.int64(-1)
    column, key = state[N_PAIRS], pair_key(left, right)
    place = state[N_PLACES]
    pairs[KEY, column], pairs[COUNT, column] = key, weight
    pairs[START, column], pairs[SIZE, column] = place, times
    link_pair(index, key, column)
    if weight >= state[FLOOR]:
        sift_up(heap, state[N_HEAP], weight, key, column)
        state[N_HEAP] += 1
    state[N_PAIRS] += 1
    state[N_PLACES] += times
    return place


@inner
def settle(pairs, index, heap, state, column, new, sides, found):
    """Move the counts of one merge: from (x, a) and (b, x) to (x, new) and (new, x)."""
    _, n_left, n_right, own_weight, own_times = found
    key = pairs[KEY, column]
    a, b = key >> 32, key & 0xFFFFFFFF
    left, right = sides[LEFT], sides[RIGHT]
    for t in range(n_left):
        x = left[TOUCHED, np.uint64(t)]
        who = np.uint64(x)
        weight, times = left[WEIGHT, who], left[TIMES, who]
        lose(pairs, index, pair_key(x, a), weight)
        left[CURSOR, who] = gain(pairs, index, heap, state, x, new, weight, times)
        left[WEIGHT, who] = left[TIMES, who] = 0
    for t in range(n_right):
        x = right[TOUCHED, np.uint64(t)]
        who = np.uint64(x)
        weight, times = right[WEIGHT, who], right[TIMES, who]
        lose(pairs, index, pair_key(b, x), weight)
        if x == a:  # "abab": the second a is merged too, and new new it is
            weight -= own_weight
        right[CURSOR, who] = gain(pairs, index, heap, state, new, x, weight, times)
        right[WEIGHT, who] = right[TIMES, who] = 0
    place = gain(pairs, index, heap, state, new, new, own_weight, own_times)
    left[CURSOR, np.uint64(new)] = place
    pairs[COUNT, column] = 0


@inner
def write_places(lengths, places, sides, visits, m):
    """Write the places of the new pairs, in order."""
    for i in range(np.uint64(m)):
        p = visits[AT, i]
        for neighbour, side, back in (
            (visits[BEFORE, i], LEFT, 1),
            (visits[AFTER, i], RIGHT, 0),
        ):
            if neighbour >= 0:
                who = np.uint64(neighbour)
                place = sides[side, CURSOR, who]
                if place >= 0:
                    places[np.uint64(place)] = p - back * lengths[who]
                    sides[side, CURSOR, who] = place + 1


# The types of what run takes, for ahead.py.
RUN = (
    "(int32[:,::1], int32[::1], int32[:,::1], int64, int64[:,::1], int32[::1], "
    "int32[::1], int64[:,::1], int64[:,:,::1], int32[:,::1], int64[::1])"
)


@kernel
def run(
    cells, lengths, merges, until, pairs, index, places, heap, sides, visits, state
):
    """Merge until there are ``until`` tokens. Returns DONE, EXHAUSTED or what is short."""
    while state[N_TOKENS] < until:
        column = best_pair(pairs, heap, state)
        if column < 0:
            return HEAP_SHORT if column == -1 else EXHAUSTED
        short = shortage(pairs, index, places, heap, visits, column, state)
        if short != DONE:
            return short
        drop_top(heap, state)
        new = state[N_TOKENS]
        key = pairs[KEY, column]
        a, b = key >> 32, key & 0xFFFFFFFF
        merges[new, 0], merges[new, 1] = a, b
        lengths[new] = lengths[a] + lengths[b]
        found = merge_places(cells, lengths, places, pairs, column, new, sides, visits)
        settle(pairs, index, heap, state, column, new, sides, found)
        write_places(lengths, places, sides, visits, found[0])
        state[N_TOKENS] += 1
    return DONE
