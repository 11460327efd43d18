"""MinHash: short signatures whose agreement estimates how much two texts have in common.

A text is the set of its shingles (runs of n words). For a random order of all shingles,
the chance that two sets share their smallest one is their Jaccard similarity (Broder 1997);
112 such minima, one per random hash, are a signature. Signatures are cut into bands, and
texts that agree on all rows of some band become candidates: at 14 bands of 8 rows a pair
of similarity s is found with probability 1 - (1 - s^8)^14, half of them at s = 0.69.

Everything runs over the UTF-8 bytes of an Arrow batch; no Python string is made per word.
"""

from functools import cache

import numpy as np
from numba import njit

from hornbook.data.characters import mix
from hornbook.data.shingles import SPREAD, shingle_hashes, word_tables

SEED = 1


@cache
def affine_family(hashes: int) -> tuple[np.ndarray, np.ndarray]:
    """``a, b`` of ``hashes`` functions ``x -> a x + b mod 2^32``, ``a`` odd: permutations."""
    random = np.random.Generator(np.random.Philox(SEED))
    a = random.integers(0, 2**31, hashes, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, random.integers(0, 2**32, hashes, dtype=np.uint32)


def band_keys(
    buffer: np.ndarray, offsets: np.ndarray, ngram: int, bands: int, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(keys (bands, texts) uint64, shingles (texts,) int64)`` of a batch of texts.

    Texts that agree on a key are candidates. One without shingles has no meaningful keys.
    """
    a, b = affine_family(bands * rows)
    keys = np.zeros((bands, offsets.size - 1), np.uint64)
    shingles = np.zeros(offsets.size - 1, np.int64)
    _band_keys(buffer, offsets, *word_tables(), ngram, rows, a, b, keys, shingles)
    return keys, shingles


@njit(nogil=True, cache=True)
def _band_keys(buffer, offsets, role, folded, n, rows, a, b, keys, shingles):
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    hashes = np.empty(longest // 2 + 1, np.uint64)
    short = np.empty(longest // 2 + 1, np.uint32)
    ring = np.zeros(n, np.uint64)
    for d in range(offsets.size - 1):
        count = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, n, ring, hashes
        )
        shingles[d] = count
        if count == 0:
            continue
        for i in range(count):
            short[i] = np.uint32(hashes[i] >> np.uint64(32))
        for band in range(keys.shape[0]):
            key = np.uint64(band + 1)
            for row in range(rows):
                j = band * rows + row
                smallest = _minimum(short, count, a[j], b[j])
                key = mix(key * SPREAD + np.uint64(smallest))
            keys[band, d] = key


@njit(nogil=True, cache=True)
def _minimum(values, count, a, b):
    """The smallest of ``a x + b mod 2^32``: the loop that the compiler turns into SIMD."""
    smallest = np.uint32(0xFFFFFFFF)
    for i in range(count):
        smallest = min(smallest, np.uint32(a * values[i] + b))
    return smallest


def shingle_sets(
    buffer: np.ndarray, offsets: np.ndarray, wanted: np.ndarray, ngram: int
) -> list[np.ndarray]:
    """The sorted distinct shingle hashes (uint32) of the texts at the indices ``wanted``."""
    role, folded = word_tables()
    ring = np.zeros(ngram, np.uint64)
    sets = []
    out = np.empty(int(np.diff(offsets).max(initial=0)) // 2 + 1, np.uint64)
    for d in wanted:
        start, end = offsets[d], offsets[d + 1]
        count = shingle_hashes(buffer, start, end, role, folded, ngram, ring, out)
        members = (out[:count] >> np.uint64(32)).astype(np.uint32)
        members.sort()
        new = np.ones(count, bool)
        np.not_equal(members[1:], members[:-1], out=new[1:])
        sets.append(members[new])  # np.unique would hash first, at four times the cost
    return sets


@njit(nogil=True, cache=True)
def jaccard(left, right):
    """The share of common members of two sorted sets: |A and B| / |A or B|."""
    i = j = common = 0
    while i < left.size and j < right.size:
        if left[i] == right[j]:
            common += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return common / max(left.size + right.size - common, 1)
