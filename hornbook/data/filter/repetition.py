"""Repeated runs of words, as in the Gopher rules: how much of a text is said twice?

The paper (Rae et al. 2021, table A1) asks nine questions per text, each over all n-grams of
another n. Two facts make them cheap together: a run of n + 1 words can only be repeated
where its first n words are, so each n looks only at what the one before found repeated;
and most texts have next to nothing left after the first few words.
"""

import numpy as np

from hornbook.data.characters import mix
from hornbook.data.jit import kernel

SPREAD = np.uint64(0x9E3779B97F4A7C15)
TOP_NGRAMS = (2, 3, 4)  # characters of the most frequent one, times its count
REPEATED_NGRAMS = (5, 6, 7, 8, 9, 10)  # characters in all that were seen before
LAST = 10


@kernel
def repeated_ngrams(hashes, lengths, words, places, grams, slots, out):
    """Fill ``out`` (9,) with characters: top 2- to 4-grams, repeated 5- to 10-grams.

    hashes, lengths  of the words, in order; lengths in characters
    places, grams, slots  scratch space of at least ``words`` each (int64, uint64, int64):
        where an n-gram that may be repeated begins, its hash, and its counter
    """
    out[:] = 0.0
    living = words
    for i in range(words):
        places[i] = i
        grams[i] = hashes[i]
    for n in range(2, LAST + 1):
        if words < n or (n > 4 and not living):
            return
        while living and places[living - 1] > words - n:
            living -= 1
        living, counts = _count_level(hashes, n, places, living, grams, slots)
        if n <= 4:
            at, count = _most_frequent(places, living, slots, counts)
            size = n - 1
            for i in range(at, at + n):
                size += lengths[i]
            out[n - 2] = size * count
        else:
            out[n - 2] = _characters_seen_before(
                n, lengths, places, living, slots, counts
            )


@kernel
def _count_level(hashes, n, places, living, grams, slots):
    """Count the n-grams at ``places[:living]``; those that occur once leave the list.

    Returns how many are left, and the counts that ``slots`` points into.
    """
    size = 16
    while size < 2 * living:
        size *= 2
    keys, counts = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    mask = np.uint64(size - 1)
    for p in range(living):
        i = places[p]
        key = mix(grams[i] * SPREAD + hashes[i + n - 1]) | np.uint64(1)
        grams[i] = key
        at = (key >> np.uint64(32)) & mask
        while keys[at] != 0 and keys[at] != key:
            at = (at + np.uint64(1)) & mask
        keys[at] = key
        counts[at] += 1
        slots[i] = np.int64(at)
    remaining = 0
    for p in range(living):
        if counts[slots[places[p]]] > 1:
            places[remaining] = places[p]
            remaining += 1
    return remaining, counts


@kernel
def _most_frequent(places, living, slots, counts):
    """``(position, count)`` of the most frequent n-gram; of equals the first."""
    best, best_count = 0, 1
    for p in range(living):
        count = counts[slots[places[p]]]
        if count > best_count:
            best, best_count = places[p], count
    return best, best_count


@kernel
def _characters_seen_before(n, lengths, places, living, slots, counts):
    """Characters in n-grams met before, reading on behind each one found."""
    total = free = 0
    for p in range(living):
        i = places[p]
        if i < free:
            continue
        if counts[slots[i]] > 0:
            counts[slots[i]] = -1  # met for the first time
            continue
        for j in range(i, i + n):
            total += lengths[j]
        free = i + n
    return total
