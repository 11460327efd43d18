"""Repeated runs of words, as in the Gopher rules: how much of a text is said twice?

The paper (Rae et al. 2021, table A1) asks nine questions per text, each over all n-grams of
another n. Two facts make them cheap together: a run of n + 1 words can only be repeated
where its first n words are, so each n looks only at what the one before found repeated;
and most texts have next to nothing left after the first few words.
"""

import numpy as np
from numba import njit

from hornbook.data.characters import mix

SPREAD = np.uint64(0x9E3779B97F4A7C15)
TOP_NGRAMS = (2, 3, 4)  # characters of the most frequent one, times its count
REPEATED_NGRAMS = (5, 6, 7, 8, 9, 10)  # characters in all that were seen before
LAST = 10


@njit(nogil=True, cache=True)
def repeated_ngrams(hashes, lengths, words, alive, grams, slots, out):
    """Fill ``out`` (9,) with characters: top 2- to 4-grams, repeated 5- to 10-grams.

    hashes, lengths  of the words, in order; lengths in characters
    alive, grams, slots  scratch space of at least ``words`` each (bool, uint64, int64)
    """
    out[:] = 0.0
    for i in range(words):
        alive[i] = True
        grams[i] = hashes[i]
    remaining = words
    for n in range(2, LAST + 1):
        positions = words - n + 1
        if positions <= 0:
            return
        if remaining:
            remaining, counts = _count_level(hashes, positions, n, alive, grams, slots)
        if n <= 4:
            at, count = 0, 1
            if remaining:
                at, count = _most_frequent(positions, alive, slots, counts)
            size = n - 1
            for i in range(at, at + n):
                size += lengths[i]
            out[n - 2] = size * count
        elif remaining:
            out[n - 2] = _characters_seen_before(
                positions, n, lengths, alive, slots, counts
            )
        else:
            return


@njit(nogil=True, cache=True)
def _count_level(hashes, positions, n, alive, grams, slots):
    """Count the n-grams at positions still alive; those that occur once die.

    Returns how many positions are left, and the counts that ``slots`` points into.
    """
    living = 0
    for i in range(positions):
        living += alive[i]
    size = 16
    while size < 2 * living:
        size *= 2
    keys, counts = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    mask = np.uint64(size - 1)
    for i in range(positions):
        if not alive[i]:
            continue
        key = mix(grams[i] * SPREAD + hashes[i + n - 1]) | np.uint64(1)
        grams[i] = key
        at = (key >> np.uint64(32)) & mask
        while keys[at] != 0 and keys[at] != key:
            at = (at + np.uint64(1)) & mask
        keys[at] = key
        counts[at] += 1
        slots[i] = np.int64(at)
    remaining = 0
    for i in range(positions):
        alive[i] = alive[i] and counts[slots[i]] > 1
        remaining += alive[i]
    return remaining, counts


@njit(nogil=True, cache=True)
def _most_frequent(positions, alive, slots, counts):
    """``(position, count)`` of the most frequent n-gram; of equals the first."""
    best, best_count = 0, 1
    for i in range(positions):
        if alive[i] and counts[slots[i]] > best_count:
            best, best_count = i, counts[slots[i]]
    return best, best_count


@njit(nogil=True, cache=True)
def _characters_seen_before(positions, n, lengths, alive, slots, counts):
    """Characters in n-grams met before, reading on behind each one found."""
    total = 0
    i = 0
    while i < positions:
        if not alive[i]:
            i += 1
        elif counts[slots[i]] > 0:
            counts[slots[i]] = -1  # met for the first time
            i += 1
        else:
            for j in range(i, i + n):
                total += lengths[j]
            i += n
    return total
