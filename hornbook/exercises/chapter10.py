"""Exercises of chapter 10: many devices."""

from hornbook.exercises.judge import expect, expect_close


def ring_bytes(ranks: int, size: int) -> float:
    """Return how many bytes each rank sends in an all-reduce of `size` bytes by a ring."""
    raise NotImplementedError


def check_ring_bytes(answer) -> None:
    """One rank sends nothing; many send less than twice the vector."""
    for ranks, size, want in (
        (1, 100, 0),
        (2, 100, 100),
        (4, 12, 18),
        (1000, 5000, 9990),
    ):
        expect_close(answer(ranks, size), want, f"With {ranks} ranks and {size} bytes")


def mean_over_ranks(means: list[float], counts: list[int]) -> float:
    """Return the mean loss of the batch from each rank's mean and its count of tokens.

    A rank without tokens has a mean of `nan`.
    """
    raise NotImplementedError


def check_mean_over_ranks(answer) -> None:
    """Equal shares, unequal ones, and a rank that has nothing."""
    nan = float("nan")
    for means, counts, want in (
        ([1.0, 3.0], [5, 5], 2.0),
        ([1.0, 3.0], [30, 10], 1.5),
        ([2.0, nan], [7, 0], 2.0),
    ):
        expect_close(answer(means, counts), want, f"Of {means} over {counts} tokens")


def rows_of(rank: int, ranks: int, batch: int) -> list[int]:
    """Return the places of the batch that `rank` reads, in order.

    Neighbouring places go to one rank; where the batch does not divide, the first ranks
    read one place more.
    """
    raise NotImplementedError


def check_rows_of(answer) -> None:
    """Together all places, each once, and no rank more than one ahead."""
    for ranks, batch in ((1, 5), (4, 8), (3, 8), (5, 3)):
        shares = [list(answer(rank, ranks, batch)) for rank in range(ranks)]
        together = [place for share in shares for place in share]
        sizes = [len(share) for share in shares]
        expect(
            together == list(range(batch)),
            f"{ranks} ranks together should read {batch} places in order: {shares}.",
        )
        expect(
            max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True),
            f"With {ranks} ranks and {batch} rows the shares are uneven: {sizes}.",
        )


def bubble(stages: int, micro_batches: int) -> float:
    """Return the share of time that a stage of a pipeline is idle."""
    raise NotImplementedError


def check_bubble(answer) -> None:
    """A single stage never waits; many micro-batches make waiting small."""
    for case, want in (((1, 3), 0.0), ((4, 8), 3 / 11), ((8, 1), 7 / 8)):
        expect_close(answer(*case), want, f"With {case[0]} stages, {case[1]} pieces")
