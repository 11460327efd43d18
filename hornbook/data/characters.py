"""What kind of character a code point is, as tables for compiled loops."""

import unicodedata
from functools import cache

import numpy as np

from hornbook.data.jit import kernel

LETTER, DIGIT, SPACE, SYMBOL = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
TABLE_SIZE = 0x40000  # planes 0 to 3; what lies above counts as a symbol


@cache
def kinds() -> np.ndarray:
    """uint8 of ``TABLE_SIZE``: each code point is one of the four kinds above.

    Letters are what ``str.isalpha`` says, with the marks that only occur on letters;
    spaces what ``str.isspace`` says; digits are all numbers; symbols everything else.
    """
    table = np.full(TABLE_SIZE, SYMBOL, np.uint8)
    for code in range(TABLE_SIZE):
        character = chr(code)
        if character.isalpha():
            table[code] = LETTER
        elif character.isspace():
            table[code] = SPACE
        elif code > 0x7F and unicodedata.category(character)[0] == "M":
            table[code] = LETTER
        elif character.isnumeric():
            table[code] = DIGIT
    return table


@kernel
def code_point(buffer, i, end):
    """``(code, bytes)`` of the UTF-8 sequence that starts at ``buffer[i]``."""
    first = np.int64(buffer[i])
    if first < 0x80 or i + 1 >= end:
        return first, 1
    second = np.int64(buffer[i + 1]) & 0x3F
    if first < 0xE0 or i + 2 >= end:
        return (first & 0x1F) << 6 | second, 2
    third = np.int64(buffer[i + 2]) & 0x3F
    if first < 0xF0 or i + 3 >= end:
        return (first & 0x0F) << 12 | second << 6 | third, 3
    fourth = np.int64(buffer[i + 3]) & 0x3F
    return (first & 0x07) << 18 | second << 12 | third << 6 | fourth, 4


@kernel
def mix(h):
    """Spread a 64-bit hash over all its bits (the finaliser of MurmurHash3)."""
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))
