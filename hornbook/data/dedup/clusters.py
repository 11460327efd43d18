"""From candidates to duplicates: who stays, and which kept document stands for the others.

Documents come ranked, best first. Each joins the kept ones unless it is similar enough to
one of them, so every document that goes has a kept one that stands for it, by its true
similarity and not through a chain of others; and no order of arrival can change that.
"""

import numpy as np

from hornbook.data.dedup.groups import Groups
from hornbook.data.dedup.minhash import jaccard
from hornbook.data.jit import kernel


def keep_best(
    ranked: np.ndarray,
    n_fixed: int,
    groups: Groups,
    sets: tuple[np.ndarray, np.ndarray, np.ndarray],
    threshold: float,
    kept: np.ndarray,
    similarity: np.ndarray,
) -> None:
    """Walk candidates from the best to the worst; one similar to none kept so far is kept.

    ranked      the members of all groups, best first; the first ``n_fixed`` stay anyway
    sets        (members, starts, sizes): that of ``ranked[r]`` begins at ``starts[r]``
    kept        (documents,), filled with the kept document that stands for each one
    similarity  (documents,), filled with their Jaccard similarity
    """
    of_ranked, starts = _groups_of(ranked, groups.members, groups.ends, len(kept))
    _keep_best(
        ranked, n_fixed, of_ranked, starts, len(groups.ends) - 1,
        *sets, threshold, kept, similarity,
    )  # fmt: skip


@kernel
def _groups_of(ranked, members, ends, documents):
    """The groups of each ranked document end to end, and where each one's begin."""
    rank = np.full(documents, -1, np.int32)
    for r in range(ranked.size):
        rank[ranked[r]] = r
    starts = np.zeros(ranked.size + 1, np.int64)
    for member in members:
        starts[rank[member] + 1] += 1
    for r in range(1, starts.size):
        starts[r] += starts[r - 1]
    place = starts[:-1].copy()
    found = np.empty(members.size, np.int32)
    for group in range(ends.size - 1):
        for i in range(ends[group], ends[group + 1]):
            r = rank[members[i]]
            found[place[r]] = group
            place[r] += 1
    return found, starts


@kernel
def _keep_best(
    ranked, n_fixed, of_ranked, group_starts, n_groups, members, starts, sizes, threshold,
    kept, similarity,
):  # fmt: skip
    newest = np.full(n_groups, -1, np.int64)  # per group, the entry that came last
    older = np.empty(of_ranked.size, np.int64)  # per entry, the one before it
    holder = np.empty(of_ranked.size, np.int32)  # per entry, the rank of its document
    compared_with = np.full(ranked.size, -1, np.int32)
    entries = 0
    for r in range(ranked.size):
        mine = members[starts[r] : starts[r] + sizes[r]]
        best, best_similarity = np.int64(-1), 0.0
        for g in of_ranked[group_starts[r] : group_starts[r + 1]]:
            entry = newest[g] if r >= n_fixed else -1
            while entry >= 0:
                other = holder[entry]
                entry = older[entry]
                if compared_with[other] == r:
                    continue
                compared_with[other] = r
                low, high = min(sizes[r], sizes[other]), max(sizes[r], sizes[other])
                if low < threshold * high:
                    continue  # sets of such unequal size cannot be similar enough
                theirs = members[starts[other] : starts[other] + sizes[other]]
                s = jaccard(mine, theirs)
                if s > best_similarity or (s == best_similarity and other < best):
                    best, best_similarity = other, s
        if best >= 0 and best_similarity >= threshold:
            kept[ranked[r]] = ranked[best]
            similarity[ranked[r]] = best_similarity
            continue
        for g in of_ranked[group_starts[r] : group_starts[r + 1]]:
            holder[entries] = r
            older[entries] = newest[g]
            newest[g] = entries
            entries += 1
