"""Exercises of chapter 3: tokenization."""

import random

from hornbook.exercises.judge import expect
from hornbook.tokenizer import reference


def most_frequent(pieces: dict[bytes, int]) -> tuple[int, int]:
    """Return the pair of neighbouring bytes that BPE merges first.

    `pieces` says how often each piece occurs. Of equally frequent pairs the smallest
    (left byte, then right byte) is taken.
    """
    raise NotImplementedError


def check_most_frequent(answer) -> None:
    """Counts weighed by the pieces' frequency, and ties."""
    got = answer({b"ab": 1, b"cd": 3, b"abab": 1})
    expect(
        tuple(got) == (97, 98), "A pair counts at each of its places: `ab` stands at 3."
    )
    got = answer({b"xy": 5, b"ab": 1, b"abc": 2})
    expect(tuple(got) == (120, 121), "Each place counts as often as its piece occurs.")
    got = answer({b"zz": 2, b"aa": 2})
    expect(tuple(got) == (97, 97), "Of equally frequent pairs the smallest is taken.")


def merge(ids: list[int], pair: tuple, new: int) -> list[int]:
    """Return `ids` with every occurrence of `pair`, from the left, replaced by `new`."""
    raise NotImplementedError


def check_merge(answer) -> None:
    """Overlaps, and random rows beside the program's own."""
    got = answer([1, 1, 1], (1, 1), 9)
    expect(
        list(got) == [9, 1], "Of three equal ids the first two merge, the third stays."
    )
    lottery = random.Random(3)
    for _ in range(200):
        ids = [lottery.randrange(3) for _ in range(lottery.randrange(12))]
        pair = (lottery.randrange(3), lottery.randrange(3))
        want = reference.merge(list(ids), pair, 7)
        got = answer(list(ids), pair, 7)
        expect(list(got) == want, f"{ids} with {pair} merged should be {want}.")


def encode(piece: bytes, merges: list[tuple[int, int]]) -> list[int]:
    """Return the ids of a piece. Merge `i` of `merges` makes token `256 + i`.

    Begin with the bytes; merge the pair that was learned first, again and again.
    """
    raise NotImplementedError


def check_encode(answer) -> None:
    """The order of merges, and random vocabularies beside the program's own."""
    got = answer(b"abc", [(98, 99), (97, 98)])
    expect(list(got) == [97, 256], "The pair that was learned first merges first.")
    lottery = random.Random(4)
    for _ in range(30):
        words = {
            bytes(lottery.choices(b"abc", k=lottery.randrange(2, 9))): 1
            for _ in range(9)
        }
        merges = reference.train(words, 8)
        ranks = {pair: rank for rank, pair in enumerate(merges)}
        made = {pair: 256 + rank for rank, pair in enumerate(merges)}
        piece = bytes(lottery.choices(b"abc", k=12))
        want = reference.encode(list(piece), ranks, made)
        expect(list(answer(piece, merges)) == want, f"{piece!r} should become {want}.")


def run_starts(bits: int) -> int:
    """Return a number with a bit where each run of set bits of `bits` begins.

    Bit 0 is the first byte of the text. No loop is needed.
    """
    raise NotImplementedError


def check_run_starts(answer) -> None:
    """Against a loop over the bits."""
    lottery = random.Random(5)
    for bits in [0, 1, 0b1110111, *(lottery.getrandbits(64) for _ in range(50))]:
        want = 0
        for k in range(64):
            mine, before = bits >> k & 1, bits >> (k - 1) & 1 if k else 0
            want |= (mine & ~before) << k
        got = answer(bits) & (1 << 64) - 1
        expect(got == want, f"Of {bits:#b} the runs begin at {want:#b}, not {got:#b}.")


def whole_characters(data: bytes) -> int:
    """Return how many of the first bytes of `data` are whole characters of UTF-8.

    Tokens arrive one by one, and `data` is what has come so far; it was cut off somewhere,
    perhaps within its last character. A reply may show only what is whole.
    """
    raise NotImplementedError


def check_whole_characters(answer) -> None:
    """Every cut of a text with characters of one to four bytes."""
    text = "aé€😀z"
    data = text.encode()
    for cut in range(len(data) + 1):
        want = len(data[:cut].decode(errors="ignore").encode())
        got = answer(data[:cut])
        expect(got == want, f"Of {data[:cut]!r}, {want} bytes are whole characters.")
