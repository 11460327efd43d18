"""The grammar of JSON's own pieces: strings, numbers, and any value at all.

Written compactly, with at most one space after ``:`` and ``,``, as models have seen it
most. Numbers keep to 15 digits, which every reader of JSON represents exactly.
"""

import json
from typing import Any

from hornbook.infer.grammar.machine import (
    Either,
    Named,
    Node,
    Repeat,
    Then,
    literal,
    one_of,
    optional,
)

DIGITS = 15
_DIGIT = one_of((0x30, 0x39))
_HEX = one_of((0x30, 0x39), (0x41, 0x46), (0x61, 0x66))
_TAIL = one_of((0x80, 0xBF))
COMMA = Then((literal(b","), optional(literal(b" "))))
COLON = Then((literal(b":"), optional(literal(b" "))))


def _hex_escape() -> Node:
    """``\\uXXXX`` of anything but half a surrogate pair, which alone is no character."""
    first = one_of((0x30, 0x39), (0x41, 0x43), (0x45, 0x46), (0x61, 0x63), (0x65, 0x66))
    high = Then((first, _HEX, _HEX, _HEX))
    low = Then((one_of((0x44, 0x44), (0x64, 0x64)), one_of((0x30, 0x37)), _HEX, _HEX))
    return Then((literal(b"u"), Either((high, low))))


def _character() -> Node:
    """One character inside a string: well-formed UTF-8 (RFC 3629) or an escape."""
    return Either(
        (
            one_of((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7F)),
            Then((one_of((0xC2, 0xDF)), _TAIL)),
            Then((literal(b"\xe0"), one_of((0xA0, 0xBF)), _TAIL)),
            Then((one_of((0xE1, 0xEC), (0xEE, 0xEF)), _TAIL, _TAIL)),
            Then((literal(b"\xed"), one_of((0x80, 0x9F)), _TAIL)),
            Then((literal(b"\xf0"), one_of((0x90, 0xBF)), _TAIL, _TAIL)),
            Then((one_of((0xF1, 0xF3)), _TAIL, _TAIL, _TAIL)),
            Then((literal(b"\xf4"), one_of((0x80, 0x8F)), _TAIL, _TAIL)),
            Then(
                (
                    literal(b"\\"),
                    Either((one_of(*((c, c) for c in b'"\\/bfnrt')), _hex_escape())),
                )
            ),
        )
    )


CHARACTER = _character()


def string(least: int = 0, most: int | None = None) -> Node:
    """A string of ``least`` to ``most`` characters."""
    return Then((literal(b'"'), Repeat(CHARACTER, least, most), literal(b'"')))


def integer() -> Node:
    """Any integer of up to 15 digits."""
    natural = Then((one_of((0x31, 0x39)), Repeat(_DIGIT, 0, DIGITS - 1)))
    return Then((optional(literal(b"-")), Either((literal(b"0"), natural))))


def number() -> Node:
    """Any number; exponents of up to two digits."""
    fraction = Then((literal(b"."), Repeat(_DIGIT, 1, DIGITS)))
    sign = optional(one_of((0x2B, 0x2B), (0x2D, 0x2D)))
    exponent = Then((one_of((0x45, 0x45), (0x65, 0x65)), sign, Repeat(_DIGIT, 1, 2)))
    return Then((integer(), optional(fraction), optional(exponent)))


def integer_between(low: int, high: int) -> Node:
    """The integers from ``low`` to ``high``."""
    choices: list[Node] = []
    if low < 0:
        below = _digits_between(max(1, -high), -low)
        choices.append(Then((literal(b"-"), below)))
    if high >= 0:
        choices.append(_digits_between(max(0, low), high))
    return Either(tuple(choices) if low <= high else ())


def _digits_between(low: int, high: int) -> Node:
    """Numbers without sign or leading zeros, by length."""
    choices = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (length - 1) if length > 1 else 0)
        last = min(high, 10**length - 1)
        choices.append(_same_length(str(first), str(last)))
    return Either(tuple(choices))


def _same_length(low: str, high: str) -> Node:
    """Digit strings from ``low`` to ``high``, all of one length."""
    if not low:
        return Then()
    a, b, rest = int(low[0]), int(high[0]), len(low) - 1

    def begin(first: int, last: int, tail: Node) -> Node:
        return Then((one_of((0x30 + first, 0x30 + last)), tail))

    if a == b:
        return begin(a, a, _same_length(low[1:], high[1:]))
    choices = [begin(a, a, _same_length(low[1:], "9" * rest))]
    if b - a > 1:
        choices.append(begin(a + 1, b - 1, Repeat(_DIGIT, rest, rest)))
    choices.append(begin(b, b, _same_length("0" * rest, high[1:])))
    return Either(tuple(choices))


def exactly(value: Any) -> Node:
    """One value, as Python writes it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return literal(text.encode())


def listed(opening: bytes, item: Node, closing: bytes) -> Node:
    """``[item, item]`` with any number of items."""
    more = Repeat(Then((COMMA, item)))
    return Then((literal(opening), optional(Then((item, more))), literal(closing)))


def anything() -> Node:
    """Any JSON value."""
    value = Named("value")
    member = Then((string(), COLON, value))
    value.node = Either(
        (
            listed(b"{", member, b"}"),
            listed(b"[", value, b"]"),
            string(),
            number(),
            *(exactly(constant) for constant in (True, False, None)),
        )
    )
    return value


ANYTHING = anything()
