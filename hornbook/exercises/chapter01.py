"""Exercises of chapter 1: what a language model is."""

import math

from hornbook.exercises.judge import expect, expect_close


def bits_per_byte(nats: list[float], text: str) -> float:
    """Return the bits per byte of a text whose tokens cost `nats`.

    The text is counted in bytes of UTF-8, whatever its tokens are.
    """
    raise NotImplementedError


def check_bits_per_byte(answer) -> None:
    """Units, and letters of several bytes."""
    got = answer([math.log(2)] * 8, "a")
    expect_close(got, 8.0, "Eight tokens of one bit each, for one byte")
    got = answer([math.log(2)] * 6, "né€")
    expect_close(got, 1.0, "Six bits for three letters that are six bytes")


def perplexity(probabilities: list[float]) -> float:
    """Return the perplexity of a text whose symbols were given these probabilities."""
    raise NotImplementedError


def check_perplexity(answer) -> None:
    """The uniform case, a mixture, and a text too long to multiply."""
    expect_close(answer([0.2] * 7), 5.0, "Equal chances of one in five")
    expect_close(answer([0.5, 0.125]), 4.0, "A half and an eighth")
    expect_close(answer([0.01] * 1000), 100.0, "A thousand symbols", within=1e-3)


def counts_model(text: bytes, order: int) -> dict[bytes, dict[int, float]]:
    """Return the plain n-gram model of a text, without smoothing.

    It gives, for each context of `order - 1` bytes that is followed by one, the probability
    of every byte that came after it.
    """
    raise NotImplementedError


def check_counts_model(answer) -> None:
    """Contexts, shares, and the last context, which nothing follows."""
    got = answer(b"abracadabra", 2)
    expect(set(got) == {b"a", b"b", b"r", b"c", b"d"}, "There are five contexts.")
    expect_close(got[b"a"][ord("b")], 0.5, "b after a: two of the four that go on")
    expect_close(sum(got[b"a"].values()), 1.0, "The sum of one context")
    got = answer(b"aab", 1)
    expect(set(got) == {b""}, "At order 1 there is one context, the empty one.")
    expect_close(got[b""][ord("a")], 2 / 3, "The share of a")


def interpolate(
    count: int, total: int, followers: int, discount: float, shorter: float
) -> float:
    """Return one step of Kneser and Ney's mixture.

    `count` of `total` times this symbol followed the context, `followers` different ones
    did, and the shorter context gives it the probability `shorter`. A context that never
    occurred changes nothing.
    """
    raise NotImplementedError


def check_interpolate(answer) -> None:
    """Seen, unseen, an unseen context, and a sum of one."""
    expect_close(answer(0, 0, 0, 0.75, 0.3), 0.3, "A context that never occurred")
    expect_close(answer(0, 10, 4, 0.5, 0.1), 0.02, "A symbol that never came")
    expect_close(answer(6, 10, 4, 0.5, 0.1), 0.57, "A symbol that came")
    counts = (5, 3, 1, 1, 0)
    total = sum(answer(c, 10, 4, 0.5, 0.2) for c in counts)
    expect_close(total, 1.0, "The sum over all symbols")


def code_length(probabilities: list[float]) -> int:
    """Return how many binary digits surely suffice to send a whole text.

    By arithmetic coding, some binary fraction of `n` digits, with all that may follow it,
    lies within every interval of length `p` if `2**-n` is at most `p / 2`. Return the
    smallest such `n` for the product of the probabilities, which may be tiny.
    """
    raise NotImplementedError


def check_code_length(answer) -> None:
    """Small products exactly, and one too small for a number."""
    expect(answer([0.5]) == 2, "For a half it is 2: 2^-2 is half of it.")
    expect(answer([0.25, 0.5]) == 4, "For an eighth it is 4.")
    expect(answer([0.3]) == 3, "For 0.3 it is 3: 2^-3 is at most 0.15.")
    expect(
        answer([0.5] * 3000) == 3001, "A product may underflow: add logarithms instead."
    )
