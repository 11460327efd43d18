"""From band keys to duplicates: which candidates share a bucket, and who stays.

Documents come ranked, best first. Each joins the kept ones unless it is similar enough to
one of them, so every document that goes has a kept one that stands for it, by its true
similarity and not through a chain of others; and no order of arrival can change that.
"""

import numpy as np
from numba import njit

from hornbook.data.dedup.minhash import jaccard

ALONE = np.uint64(0xFFFFFFFFFFFFFFFF)


def number_buckets(keys: np.ndarray, eligible: np.ndarray) -> int:
    """Replace the keys (bands, documents) in place by bucket numbers; returns their count.

    A key that nobody shares, or that belongs to a document not ``eligible``, becomes
    :data:`ALONE`. One band at a time, so that little memory is needed besides the keys.
    """
    members = np.flatnonzero(eligible)
    buckets = 0
    for band in keys:
        values = band[members]
        order = np.argsort(values)
        values = values[order]
        new = np.ones(len(values), bool)
        new[1:] = values[1:] != values[:-1]
        single = new & np.append(new[1:], True)
        number = np.cumsum(new & ~single) + (buckets - 1)
        buckets = int(number[-1]) + 1 if len(number) else buckets
        band[:] = ALONE
        band[members[order[~single]]] = number[~single].astype(np.uint64)
    return buckets


@njit(cache=True)
def keep_best(order, buckets, n_buckets, sets, set_ends, threshold, kept, similarity):
    """Walk documents from the best to the worst; one similar to none kept so far is kept.

    order       the candidates, best first
    buckets     (bands, documents) uint64 from :func:`number_buckets`
    sets        shingle sets end to end: that of ``order[r]`` is ``set_ends[r]:set_ends[r+1]``
    kept        (documents,) int64, filled with the kept document that stands for each one
    similarity  (documents,) float64, filled with their Jaccard similarity
    """
    bands = buckets.shape[0]
    newest = np.full(n_buckets, -1, np.int64)  # per bucket, the entry that came last
    older = np.empty(order.size * bands, np.int64)  # per entry, the one before it
    holder = np.empty(
        order.size * bands, np.int64
    )  # per entry, the rank of its document
    entries = 0
    compared_with = np.full(order.size, -1, np.int64)
    for r in range(order.size):
        mine = sets[set_ends[r] : set_ends[r + 1]]
        best, best_similarity = np.int64(-1), 0.0
        for band in range(bands):
            bucket = buckets[band, order[r]]
            entry = newest[np.int64(bucket)] if bucket != ALONE else -1
            while entry >= 0:
                other = holder[entry]
                entry = older[entry]
                if compared_with[other] == r:
                    continue
                compared_with[other] = r
                theirs = sets[set_ends[other] : set_ends[other + 1]]
                if mine.size < threshold * theirs.size:
                    continue  # sets of such unequal size cannot be similar enough
                if theirs.size < threshold * mine.size:
                    continue
                s = jaccard(mine, theirs)
                if s > best_similarity or (s == best_similarity and other < best):
                    best, best_similarity = other, s
        if best >= 0 and best_similarity >= threshold:
            kept[order[r]] = order[best]
            similarity[order[r]] = best_similarity
            continue
        for band in range(bands):
            bucket = buckets[band, order[r]]
            if bucket != ALONE:
                holder[entries] = r
                older[entries] = newest[np.int64(bucket)]
                newest[np.int64(bucket)] = entries
                entries += 1
