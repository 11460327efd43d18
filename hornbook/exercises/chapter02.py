"""Exercises of chapter 2: data."""

import random

from hornbook.data.dedup.presets import Lsh
from hornbook.exercises.judge import expect, expect_close


def shingles(text: str, n: int) -> set[tuple[str, ...]]:
    """Return the set of all runs of `n` words of a text.

    Words are what `text.lower().split()` gives. A text of fewer than `n` words has none.
    """
    raise NotImplementedError


def check_shingles(answer) -> None:
    """Counts, case, repeats, and texts that are too short."""
    got = answer("The cat saw the cat saw the dog", 2)
    want = {("the", "cat"), ("cat", "saw"), ("saw", "the"), ("the", "dog")}
    expect(got == want, "Each run should be there once, in small letters, as a tuple.")
    expect(answer("one two", 3) == set(), "A text shorter than a run has no shingles.")
    expect(
        answer("one two three", 3) == {("one", "two", "three")},
        "A text as long as a run has one shingle.",
    )


def jaccard(left: set, right: set) -> float:
    """Return the Jaccard similarity of two sets; 0 where both are empty."""
    raise NotImplementedError


def check_jaccard(answer) -> None:
    """Known values, both orders, and nothing at all."""
    expect_close(answer({1, 2, 3}, {2, 3, 4}), 0.5, "Two of four members")
    expect_close(answer({1}, {1}), 1.0, "Equal sets")
    expect_close(answer({1}, {2}), 0.0, "Sets with nothing in common")
    expect_close(answer(set(), set()), 0.0, "Two empty sets")
    expect_close(answer({1, 2, 3, 4}, {4}), 0.25, "A part of a set")


def candidate(similarity: float, bands: int, rows: int) -> float:
    """Return the probability that a pair of this similarity agrees on some whole band."""
    raise NotImplementedError


def check_candidate(answer) -> None:
    """Against the program's own formula."""
    for bands, rows in ((24, 5), (14, 8), (1, 1), (450, 20)):
        for similarity in (0.0, 0.3, 0.7, 0.95, 1.0):
            want = Lsh(5, bands, rows, 0.7).found(similarity)
            expect_close(
                answer(similarity, bands, rows),
                want,
                f"{bands} bands of {rows} at {similarity}",
            )


def signature(members: set[int], seeds: list[int]) -> list[int]:
    """Return a MinHash signature: for each seed the member that comes first.

    The order that a seed stands for is that of `hash((seed, member))`, the smallest first.
    """
    raise NotImplementedError


def check_signature(answer) -> None:
    """The members chosen, and how often two signatures agree."""
    seeds = list(range(400))
    got = answer({3, 5, 8}, seeds)
    want = [min({3, 5, 8}, key=lambda m: hash((seed, m))) for seed in seeds]
    expect(list(got) == want, "Each place should hold the member of the smallest hash.")
    lottery = random.Random(1)
    left = set(lottery.sample(range(1000), 60))
    right = set(sorted(left)[:40]) | set(range(2000, 2020))
    pairs = zip(answer(left, seeds), answer(right, seeds), strict=True)
    agreed = sum(a == b for a, b in pairs) / len(seeds)
    expect_close(agreed, 0.5, "The share of places that agree", within=0.1)


def overlap(document: str, item: str, n: int) -> int:
    """Return the words of the longest run that a document shares with a benchmark's item.

    Runs of fewer than `n` words count as 0. Words are those of `lower().split()`.
    """
    raise NotImplementedError


def check_overlap(answer) -> None:
    """A run inside, one that is too short, the whole item, and two runs."""
    item = "a train leaves the station at noon and goes north"
    expect(
        answer("we saw that a train leaves the station late", item, 3) == 5,
        "A run of 5.",
    )
    expect(answer("the station", item, 3) == 0, "A run that is too short counts as 0.")
    expect(
        answer(f"Question: {item.upper()} .", item, 3) == 10,
        "The whole item, in capitals.",
    )
    twice = "the station at dawn . and goes north and goes north"
    expect(answer(twice, item, 2) == 3, "Of several runs the longest.")
