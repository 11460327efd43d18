"""Which of several alike documents is the best: an order over all of them."""

import numpy as np

from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.signatures import Signed


def rank(config: DedupConfig, signed: list[Signed]) -> np.ndarray:
    """All documents, best first: those of earlier runs, then this run's (``signed[0]``).

    longest      more bytes first; of equals the one with the smallest id
    first        as they come
    best-source  by ``source_order`` (sources it does not name after all others), then as
                 for longest
    """
    mine = signed[0]
    if config.keep == "first":
        order = np.arange(len(mine.sizes))
    else:
        place = np.zeros(len(mine.sizes), np.int64)
        if config.keep == "best-source":
            listed = list(config.source_order)
            places = [
                listed.index(name) if name in listed else len(listed)
                for name in mine.names
            ]
            place = np.array(places, np.int64)[mine.sources]
        order = np.lexsort((mine.ids[:, 1], mine.ids[:, 0], -mine.sizes, place))
    others = sum(len(one.sizes) for one in signed[1:])
    return np.concatenate([len(mine.sizes) + np.arange(others), order])


def ranks_of(order: np.ndarray) -> np.ndarray:
    """The place of each document in ``order``, int32."""
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks


def first_copies(digests: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each document the best ranked one with the same digest."""
    by_digest = np.lexsort((ranks_of(order), digests[:, 1], digests[:, 0]))
    values = digests[by_digest]
    new = np.ones(len(values), bool)
    new[1:] = (values[1:] != values[:-1]).any(axis=1)
    first = np.empty(len(order), np.int64)
    first[by_digest] = by_digest[np.flatnonzero(new)][np.cumsum(new) - 1]
    return first
