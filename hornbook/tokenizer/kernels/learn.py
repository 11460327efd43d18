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

from hornbook.tokenizer.kernels.jit import inlined_part, kernel, part, prefetch
from hornbook.tokenizer.kernels.ranking import (
    COUNT,
    FLOOR,
    N_HEAP,
    N_PAIRS,
    N_PLACES,
    N_TOKENS,
    SIZE,
    START,
    WORDS,
    best_pair,
    drop_top,
    find_pair,
    link_pair,
    pair_key,
    prefetch_pair,
    sift_up,
    slot_of,
)

# Of ``sides`` a token has eight words, which fill a cache line: what a merge sums up where
# it is the left neighbour, the same where it is the right one, and how many bytes it has.
LEFT, RIGHT, LENGTH = 0, 3, 6
WEIGHT, TIMES, CURSOR = range(3)
VISIT = 3  # numbers a visit: the place, the token before, the token after
DONE, PAIRS_SHORT, PLACES_SHORT, HEAP_SHORT, VISITS_SHORT, EXHAUSTED = range(6)


@inlined_part
def symbol(cells, p):
    """The token that begins or ends at cell ``p``."""
    return cells[np.uint64(p << 1)]


@inlined_part
def weight_of(cells, p):
    """How often the word of cell ``p`` occurs."""
    return np.int64(cells[np.uint64(p << 1 | 1)])


@inlined_part
def side_of(token, side):
    """Where in ``sides`` the sums of a token at one side start."""
    return np.uint64((np.int64(token) << 3) + side)


@kernel
def byte_pairs(cells, weights, times):
    """Add up weight and number of places of each pair of neighbouring bytes."""
    for p in range((len(cells) >> 1) - 1):
        a, b = symbol(cells, p), symbol(cells, p + 1)
        if a >= 0 and b >= 0:
            x = np.uint64(a << 8 | b)
            weights[x] += weight_of(cells, p)
            times[x] += 1


@kernel
def first_pairs(cells, weights, times, cursor, pairs, index, places, state):
    """Enter the pairs of bytes and their places; ``cursor`` is room for 65,536 numbers."""
    for x in range(1 << 16):
        cursor[x] = state[N_PLACES]
        if times[x]:
            enter_pair(pairs, index, state, x >> 8, x & 255, weights[x], times[x])
            state[FLOOR] = max(state[FLOOR], weights[x] + 1)
    for p in range((len(cells) >> 1) - 1):
        a, b = symbol(cells, p), symbol(cells, p + 1)
        if a >= 0 and b >= 0:
            x = np.uint64(a << 8 | b)
            places[np.uint64(cursor[x])] = p
            cursor[x] += 1


@part
def enter_pair(pairs, index, state, left, right, weight, times):
    """Write the record of a new pair; returns where it is."""
    at, key = state[N_PAIRS] * WORDS, pair_key(left, right)
    pairs[at], pairs[at + COUNT] = key, weight
    pairs[at + START], pairs[at + SIZE] = state[N_PLACES], times
    link_pair(index, key, at)
    state[N_PAIRS] += 1
    state[N_PLACES] += times
    return at


@part
def shortage(pairs, index, places, heap, visits, at, state):
    """Which array is too short to merge the pair at ``at``; DONE for none."""
    times = pairs[at + SIZE]
    fresh = min(2 * times, 2 * state[N_TOKENS]) + 1  # at most so many new pairs
    needed = state[N_PAIRS] + fresh
    if needed * WORDS > len(pairs) or needed * 2 > len(index):
        return PAIRS_SHORT
    if state[N_PLACES] + 2 * times > len(places):
        return PLACES_SHORT
    if (state[N_HEAP] + fresh) * WORDS > len(heap):
        return HEAP_SHORT
    return VISITS_SHORT if times * VISIT > len(visits) else DONE


@inlined_part
def note(sides, touched, neighbours, neighbour, side, weight):
    """Add one place to a neighbour's sums; returns how many neighbours there are now."""
    who = side_of(neighbour, side)
    if sides[who + np.uint64(TIMES)] == 0:
        touched[np.uint64(neighbours)] = neighbour
        neighbours += 1
    sides[who] += weight
    sides[who + np.uint64(TIMES)] += 1
    return neighbours


@part
def merge_places(cells, places, pairs, at, new, sides, befores, afters, visits):
    """Merge the pair wherever it still stands, and sum up its neighbours.

    Returns (visits, left neighbours, right neighbours, weight and number of places
    where the token before is ``new`` itself).
    """
    key = pairs[at]
    a, b = np.int32(key >> 32), np.int32(key & 0xFFFFFFFF)
    to_b = sides[side_of(a, LENGTH)]
    to_end = to_b + sides[side_of(b, LENGTH)]
    v = n_left = n_right = own_weight = own_times = 0
    start, stop = pairs[at + START], pairs[at + START] + pairs[at + SIZE]
    for i in range(start, stop):
        prefetch(cells, np.int64(places[np.uint64(min(i + 12, stop - 1))]) << 3)
        p = np.int64(places[np.uint64(i)])
        if symbol(cells, p) != a or symbol(cells, p + to_b) != b:
            continue
        weight = weight_of(cells, p)
        before, after = symbol(cells, p - 1), symbol(cells, p + to_end)
        cells[np.uint64((p + to_b) << 1)] = -2
        cells[np.uint64(p << 1)] = cells[np.uint64((p + to_end - 1) << 1)] = new
        visit = np.uint64(v)
        visits[visit] = p
        visits[visit + np.uint64(1)] = before
        visits[visit + np.uint64(2)] = after
        v += VISIT
        if before == new:
            own_weight += weight
            own_times += 1
        elif before >= 0:
            n_left = note(sides, befores, n_left, before, LEFT, weight)
        if after >= 0:
            n_right = note(sides, afters, n_right, after, RIGHT, weight)
    return v, n_left, n_right, own_weight, own_times


@inlined_part
def lose(pairs, index, key, weight):
    """Take ``weight`` from a pair's count."""
    at = find_pair(index, pairs, key)
    if at >= 0:
        pairs[np.uint64(at + COUNT)] -= weight


@part
def gain(pairs, index, heap, state, left, right, weight, times):
    """Enter a new pair; returns where its places go, or -1 if it doesn't occur."""
    if weight <= 0:
        return np.int64(-1)
    place = state[N_PLACES]
    at = enter_pair(pairs, index, state, left, right, weight, times)
    if weight >= state[FLOOR]:
        sift_up(heap, state[N_HEAP], weight, pair_key(left, right), at)
        state[N_HEAP] += 1
    return place


@part
def settle_left(pairs, index, heap, state, a, new, sides, touched, n):
    """Move the counts of one merge from (x, a) to (x, new), for all tokens x before it."""
    for t in range(n):
        if t + 8 < n:
            x = touched[np.uint64(t + 8)]
            prefetch(index, np.int64(slot_of(index, pair_key(x, a))) << 2)
            prefetch(index, np.int64(slot_of(index, pair_key(x, new))) << 2)
        if t + 4 < n:
            prefetch_pair(index, pairs, pair_key(touched[np.uint64(t + 4)], a))
        x = np.int64(touched[np.uint64(t)])
        who = side_of(x, LEFT)
        weight, times = sides[who], sides[who + np.uint64(TIMES)]
        lose(pairs, index, pair_key(x, a), weight)
        place = gain(pairs, index, heap, state, x, new, weight, times)
        sides[who + np.uint64(CURSOR)] = place
        sides[who] = sides[who + np.uint64(TIMES)] = 0


@part
def settle_right(pairs, index, heap, state, a, b, new, sides, touched, n, own_weight):
    """Move the counts of one merge from (b, x) to (new, x), for all tokens x after it."""
    for t in range(n):
        if t + 8 < n:
            x = touched[np.uint64(t + 8)]
            prefetch(index, np.int64(slot_of(index, pair_key(b, x))) << 2)
            prefetch(index, np.int64(slot_of(index, pair_key(new, x))) << 2)
        if t + 4 < n:
            prefetch_pair(index, pairs, pair_key(b, touched[np.uint64(t + 4)]))
        x = np.int64(touched[np.uint64(t)])
        who = side_of(x, RIGHT)
        weight, times = sides[who], sides[who + np.uint64(TIMES)]
        lose(pairs, index, pair_key(b, x), weight)
        if x == a:  # "abab": the second a is merged too, and new new it is
            weight -= own_weight
        place = gain(pairs, index, heap, state, new, x, weight, times)
        sides[who + np.uint64(CURSOR)] = place
        sides[who] = sides[who + np.uint64(TIMES)] = 0


@inlined_part
def write_place(places, sides, neighbour, side, p):
    """Append a place to the list of the new pair with this neighbour."""
    cursor = side_of(neighbour, side + CURSOR)
    place = sides[cursor]
    if place >= 0:
        places[np.uint64(place)] = p
        sides[cursor] = place + 1


@part
def write_places(places, sides, visits, v):
    """Write the places of the new pairs, in order."""
    for visit in range(0, v, VISIT):
        i = np.uint64(visit)
        p = np.int64(visits[i])
        before, after = visits[i + np.uint64(1)], visits[i + np.uint64(2)]
        if before >= 0:
            length = sides[side_of(before, LENGTH)]
            write_place(places, sides, before, LEFT, p - length)
        if after >= 0:
            write_place(places, sides, after, RIGHT, p)


# The types of what run takes, for ahead.py.
RUN = (
    "(int32[::1], int32[::1], int64, int64[::1], int32[::1], int32[::1], int64[::1], "
    "int64[::1], int32[:,::1], int32[::1], int64[::1])"
)


@kernel
def run(
    cells, merges, until, pairs, index, places, heap, sides, touched, visits, state
):
    """Merge until there are ``until`` tokens. Returns DONE, EXHAUSTED or what is short."""
    befores, afters = touched[0], touched[1]
    while state[N_TOKENS] < until:
        at = best_pair(pairs, heap, state)
        if at < 0:
            return HEAP_SHORT if at == -1 else EXHAUSTED
        short = shortage(pairs, index, places, heap, visits, at, state)
        if short != DONE:
            return short
        drop_top(heap, state)
        new = state[N_TOKENS]
        a, b = pairs[at] >> 32, pairs[at] & 0xFFFFFFFF
        merges[2 * new], merges[2 * new + 1] = a, b
        sides[side_of(new, LENGTH)] = (
            sides[side_of(a, LENGTH)] + sides[side_of(b, LENGTH)]
        )
        v, n_left, n_right, own_weight, own_times = merge_places(
            cells, places, pairs, at, new, sides, befores, afters, visits
        )
        settle_left(pairs, index, heap, state, a, new, sides, befores, n_left)
        settle_right(
            pairs, index, heap, state, a, b, new, sides, afters, n_right, own_weight
        )
        place = gain(pairs, index, heap, state, new, new, own_weight, own_times)
        sides[side_of(new, LEFT + CURSOR)] = place
        pairs[at + COUNT] = 0
        write_places(places, sides, visits, v)
        state[N_TOKENS] += 1
    return DONE
