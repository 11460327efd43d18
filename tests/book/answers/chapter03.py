"""Right answers to the exercises of chapter 3, and a usual mistake each."""

from collections import Counter
from itertools import pairwise


def most_frequent(pieces):
    counts = Counter()
    for piece, times in pieces.items():
        for pair in pairwise(piece):
            counts[pair] += times
    return min(counts, key=lambda pair: (-counts[pair], pair))


def wrong_most_frequent(pieces):  # each piece once
    counts = Counter(pair for piece in pieces for pair in pairwise(piece))
    return min(counts, key=lambda pair: (-counts[pair], pair))


def merge(ids, pair, new):
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def wrong_merge(ids, pair, new):  # forgets to step over the second
    return [new if tuple(ids[i : i + 2]) == pair else ids[i] for i in range(len(ids))]


def encode(piece, merges):
    ids = list(piece)
    while True:
        known = [merges.index(p) for p in pairwise(ids) if p in merges]
        if not known:
            return ids
        ids = merge(ids, merges[min(known)], 256 + min(known))


def wrong_encode(piece, merges):  # the pair furthest left
    ids = list(piece)
    while True:
        known = [merges.index(p) for p in pairwise(ids) if p in merges]
        if not known:
            return ids
        ids = merge(ids, merges[known[0]], 256 + known[0])


def run_starts(bits):
    return bits & ~(bits << 1)


def wrong_run_starts(bits):  # where runs end
    return bits & ~(bits >> 1)


def whole_characters(data):
    for back in range(1, min(4, len(data)) + 1):
        lead = data[-back]
        if lead & 0xC0 != 0x80:
            size = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return len(data) if size == back else len(data) - back
    return 0


def wrong_whole_characters(data):  # only bytes that begin a character
    return len(data) - (bool(data) and data[-1] >= 0xC0)
