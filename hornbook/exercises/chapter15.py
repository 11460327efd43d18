"""Exercises of chapter 15: serving."""

from hornbook.exercises.judge import expect, expect_close


def shown(text: str, stops: list[str]) -> str:
    """Return the part of `text` that a stream may send now.

    Everything before the first stop string; if none is there yet, all but the longest end
    of `text` that a stop string begins with.
    """
    raise NotImplementedError


def check_shown(answer) -> None:
    """Stops that are there, that may come, and that overlap with themselves."""
    for text, stops, want in (
        ("hello", [], "hello"),
        ("hello\nUs", ["\nUser:"], "hello"),
        ("hello\nUser:", ["\nUser:"], "hello"),
        ("hello\nUsers", ["\nUser:"], "hello\nUsers"),
        ("aab", ["aabaac"], ""),
        ("xaaba", ["abac"], "xa"),
        ("one STOP two END", ["END", "STOP"], "one "),
    ):
        got = answer(text, list(stops))
        expect(got == want, f"Of {text!r} with {stops} it should be {want!r}: {got!r}.")


def events(chunks: list[bytes]) -> list[str]:
    """Return the data of every server-sent event before `[DONE]`.

    `chunks` are the bytes as the network gave them: cut anywhere, even within a character.
    An event is `data: ` and its text, ended by an empty line.
    """
    raise NotImplementedError


def check_events(answer) -> None:
    """The same stream whole, and cut into single bytes."""
    whole = 'data: {"a": 1}\n\ndata: {"é": "ü\\n"}\n\ndata: [DONE]\n\n'.encode()
    want = ['{"a": 1}', '{"é": "ü\\n"}']
    got = answer([whole])
    expect(got == want, f"Of the whole stream it should be {want}, not {got}.")
    got = answer([bytes([byte]) for byte in whole])
    expect(got == want, "Cut into single bytes, the stream should mean the same.")


def rows_for(fixed: float, each: float, seconds: float) -> int:
    """Return how many texts may be written side by side, 0 if not even one.

    A step takes `fixed` seconds, and `each` more for every text in it; it may take
    `seconds` in all, so that nobody waits longer for a next token.
    """
    raise NotImplementedError


def check_rows_for(answer) -> None:
    """Within the bound, at it, and where nothing fits."""
    for case, want in (((10, 1, 30), 20), ((10, 4, 31), 5), ((10, 1, 10.5), 0)):
        got = answer(*case)
        expect_close(got, want, f"For {case}")
    expect(answer(10, 1, 5) == 0, "Where reading the weights alone takes longer, none.")
