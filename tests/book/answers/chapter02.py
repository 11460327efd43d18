"""Right answers to the exercises of chapter 2, and a usual mistake each."""


def shingles(text, n):
    words = text.lower().split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def wrong_shingles(text, n):  # one run too few
    words = text.lower().split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n)}


def jaccard(left, right):
    return len(left & right) / max(len(left | right), 1)


def wrong_jaccard(left, right):  # of the smaller set, not of the union
    return len(left & right) / max(min(len(left), len(right)), 1)


def candidate(similarity, bands, rows):
    return 1 - (1 - similarity**rows) ** bands


def wrong_candidate(similarity, bands, rows):  # bands and rows swapped
    return 1 - (1 - similarity**bands) ** rows


def signature(members, seeds):
    return [min(members, key=lambda m: hash((seed, m))) for seed in seeds]


def wrong_signature(members, seeds):  # the same order for every seed
    return [min(members) for _ in seeds]


def overlap(document, item, n):
    words, wanted = document.lower().split(), item.lower().split()
    best = 0
    for i in range(len(words)):
        for j in range(len(wanted)):
            run = 0
            while words[i + run : i + run + 1] == wanted[j + run : j + run + 1] != []:
                run += 1
            best = max(best, run)
    return best if best >= n else 0


def wrong_overlap(document, item, n):  # words in common, in any order
    common = set(document.lower().split()) & set(item.lower().split())
    return len(common) if len(common) >= n else 0
