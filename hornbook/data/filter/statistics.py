"""Numbers about texts, measured in one compiled pass over a batch's UTF-8 bytes.

Filters decide on these numbers later, so a threshold can change without measuring again.
No Python string is made per line or word: that is what makes other curation tools slow.
"""

import numpy as np
import pyarrow as pa

from hornbook.data.arrow import text_buffers
from hornbook.data.characters import (
    DIGIT,
    LETTER,
    SPACE,
    TABLE_SIZE,
    code_point,
    kinds,
    mix,
)
from hornbook.data.jit import kernel

PLAIN = (  # what any text has, prose or code
    "bytes",
    "characters",
    "lines",  # non-empty
    "digit_share",  # of the characters that are not space
    "symbol_share",  # likewise; neither letter nor digit
    "longest_word",  # longest run of ASCII without a space, in characters
    "duplicate_line_share",  # of the characters in lines: those in lines seen before
)


def measure(texts: pa.LargeStringArray) -> dict[str, np.ndarray]:
    """The numbers named in :data:`PLAIN`, one float64 array of ``len(texts)`` each."""
    buffer, offsets = text_buffers(texts)
    out = np.zeros((len(PLAIN), len(texts)))
    _measure(buffer, offsets, kinds(), out)
    return dict(zip(PLAIN, out, strict=True))


@kernel
def _measure(buffer, offsets, kind_of, out):
    slots = np.zeros(1 << 12, np.uint64)
    for d in range(offsets.size - 1):
        start, end = offsets[d], offsets[d + 1]
        characters, digits, letters, spaces, longest = _count(
            buffer, start, end, kind_of
        )
        line_ends = 1
        for i in range(start, end):
            line_ends += buffer[i] == 10
        size = 16
        while size < 2 * line_ends:
            size *= 2
        if size > slots.size:
            slots = np.zeros(size, np.uint64)
        lines, in_lines, repeated = _repeated_lines(buffer, start, end, slots[:size])
        visible = max(characters - spaces, 1)
        out[0, d] = end - start
        out[1, d] = characters
        out[2, d] = lines
        out[3, d] = digits / visible
        out[4, d] = (characters - spaces - digits - letters) / visible
        out[5, d] = longest
        out[6, d] = repeated / max(in_lines, 1)


@kernel
def _count(buffer, start, end, kind_of):
    """Characters by kind, and the longest ASCII word."""
    characters = digits = letters = spaces = run = longest = 0
    i = start
    while i < end:
        code, size = code_point(buffer, i, end)
        i += size
        characters += 1
        kind = kind_of[code] if code < TABLE_SIZE else 0
        digits += kind == DIGIT
        letters += kind == LETTER
        spaces += kind == SPACE
        run = run + 1 if size == 1 and kind != SPACE else 0
        longest = max(longest, run)
    return characters, digits, letters, spaces, longest


@kernel
def _repeated_lines(buffer, start, end, slots):
    """``(lines, bytes in them, bytes in lines seen before)``; blank lines don't count."""
    slots[:] = 0
    mask = np.uint64(slots.size - 1)
    lines = in_lines = repeated = 0
    i = start
    while i < end:
        while i < end and (buffer[i] == 32 or buffer[i] == 9 or buffer[i] == 10):
            i += 1
        first = i
        h = np.uint64(0xCBF29CE484222325)
        while i < end and buffer[i] != 10:
            h = (h ^ np.uint64(buffer[i])) * np.uint64(0x100000001B3)
            i += 1
        if i == first:
            continue
        lines += 1
        in_lines += i - first
        key = mix(h) | np.uint64(1)
        at = (key >> np.uint64(1)) & mask
        while slots[at] != 0 and slots[at] != key:
            at = (at + np.uint64(1)) & mask
        if slots[at] == key:
            repeated += i - first
        slots[at] = key
    return lines, in_lines, repeated
