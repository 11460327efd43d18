"""MinHash: short signatures whose agreement estimates how much two texts have in common.

A text is the set of its shingles (runs of n words). For a random order of all shingles,
the chance that two sets share their smallest one is their Jaccard similarity (Broder 1997);
a signature is many such samples. It is cut into bands, and texts that agree on all rows of
some band become candidates: a pair of similarity s with probability 1 - (1 - s^rows)^bands.

The samples are drawn by Fast Similarity Sketching (Dahlgaard, Knudsen, Thorup 2017, arXiv
1704.04370): every shingle falls into one random place of the signature per round, and a
place keeps the smallest of the first round in which it gets any. A long text is done after
one or two rounds, so a signature of thousands costs little more than one of a hundred.
After a fixed number of rounds a place still empty borrows from a random one that is not
(optimal densification, Shrivastava 2017); both ways keep the estimate unbiased.

Everything runs over the UTF-8 bytes of an Arrow batch; no Python string is made per word.
"""

import numpy as np

from hornbook.data.characters import mix
from hornbook.data.jit import kernel
from hornbook.data.shingles import SPREAD, shingle_hashes, word_tables

ROUNDS = 30  # fewer than fit above VALUE_BITS
EMPTY = np.uint32(0xFFFFFFFF)
VALUE_BITS = 27  # of a place's 32; those above hold the round


def band_keys(
    buffer: np.ndarray, offsets: np.ndarray, ngram: int, bands: int, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(keys (bands, texts) uint64, shingles (texts,) int64)`` of a batch of texts.

    Texts that agree on a key are candidates. One without shingles has no meaningful keys.
    """
    keys = np.zeros((bands, offsets.size - 1), np.uint64)
    shingles = np.zeros(offsets.size - 1, np.int64)
    _band_keys(buffer, offsets, *word_tables(), ngram, rows, keys, shingles)
    return keys, shingles


@kernel
def _band_keys(buffer, offsets, role, folded, n, rows, keys, shingles):
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    hashes = np.empty(longest // 2 + 1, np.uint64)
    signature = np.empty(keys.shape[0] * rows, np.uint32)
    ring = np.zeros(n, np.uint64)
    for d in range(offsets.size - 1):
        count = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, n, ring, hashes
        )
        shingles[d] = count
        if count == 0:
            continue
        sketch(hashes[:count], signature)
        for band in range(keys.shape[0]):
            key = np.uint64(band + 1)
            for value in signature[band * rows : (band + 1) * rows]:
                key = (key ^ np.uint64(value)) * SPREAD
                key ^= key >> np.uint64(32)
            keys[band, d] = mix(key)


@kernel
def sketch(hashes, signature):
    """Fill ``signature`` (uint32) with samples of the set of ``hashes`` (uint64).

    Signatures of two sets agree in each place with the probability of their similarity.
    The number of rounds may depend on the signature's size alone, never on the set: a place
    must get its sample in the same round for both.
    """
    signature[:] = EMPTY
    size, below = np.uint64(signature.size), np.uint32((1 << VALUE_BITS) - 1)
    salt = np.uint64(0)
    for turn in range(ROUNDS):
        salt += SPREAD
        factor = mix(salt) | np.uint64(1)
        stamp = np.uint32(turn << VALUE_BITS)
        for x in hashes:
            h = (x ^ salt) * factor
            place = (h >> np.uint64(32)) * size >> np.uint64(32)
            value = stamp | (np.uint32(h) & below)
            signature[place] = min(signature[place], value)
        largest = np.uint32(0)
        for i in range(signature.size):
            largest = max(largest, signature[i])
        if largest < EMPTY:
            return
    _borrow(signature, salt)


@kernel
def _borrow(signature, salt):
    """Give each empty place the value of a random place that is not empty."""
    size = np.uint64(signature.size)
    lenders = signature.copy()
    waiting = np.flatnonzero(signature == EMPTY)
    count = waiting.size
    while count:
        salt += SPREAD
        still = 0
        for i in range(count):  # no branch in it that the processor would guess wrong
            place = waiting[i]
            lender = (
                mix(np.uint64(place) + salt) >> np.uint64(32)
            ) * size >> np.uint64(32)
            signature[place] = lenders[lender]
            waiting[still] = place
            still += lenders[lender] == EMPTY
        count = still


@kernel
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
