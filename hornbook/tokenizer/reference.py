"""Byte-pair encoding, the whole idea in thirty lines (Sennrich et al. 2016, arXiv 1508.07909).

Text is bytes; training joins the most frequent neighbouring pair into a new token, again
and again; encoding replays those merges in the order they were learned. The kernels in
``kernels/`` do the same thousands of times faster, and tests hold them equal to this file.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

Pair = tuple[int, int]


def train(pieces: Mapping[bytes, int], n_merges: int) -> list[Pair]:
    """The best ``n_merges`` merges of ``pieces`` (piece -> how often), best first.

    Merge ``i`` makes token ``256 + i``. Of equally frequent pairs the smallest wins.
    """
    words = {piece: list(piece) for piece in pieces}
    merges: list[Pair] = []
    while len(merges) < n_merges:
        counts: Counter[Pair] = Counter()
        for piece, ids in words.items():
            for pair in pairwise(ids):
                counts[pair] += pieces[piece]
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = {w: merge(ids, best, 256 + len(merges)) for w, ids in words.items()}
        merges.append(best)
    return merges


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """Replace each occurrence of ``pair`` in ``ids``, from the left, by ``new``."""
    merged: list[int] = []
    for token in ids:
        if merged and (merged[-1], token) == pair:
            merged[-1] = new
        else:
            merged.append(token)
    return merged


def encode(
    ids: list[int], ranks: Mapping[Pair, int], made: Mapping[Pair, int]
) -> list[int]:
    """Merge the ids of one piece's bytes: always the pair learned first.

    ``ranks`` says when a pair was learned, ``made`` which token it becomes.
    """
    while len(ids) > 1:
        best = min(pairwise(ids), key=lambda p: ranks.get(p, 1 << 62))
        if best not in ranks:
            break
        ids = merge(ids, best, made[best])
    return ids
