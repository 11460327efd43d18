"""Lines of a web page that are no prose, as RefinedWeb flags them.

Penedo et al. 2023, appendix G.2: lines mainly of capitals, only of numbers, counters ("3
likes"), single words, and short lines such as "sign-in", "read more..." or "items in cart".
A page with too many words in such lines goes; from others the lines are cut.
"""

from functools import cache

import numpy as np
import pyarrow as pa

from hornbook.data.arrow import text_buffers
from hornbook.data.characters import DIGIT, LETTER, SPACE, TABLE_SIZE, code_point, kinds
from hornbook.data.filter.linescan import (
    NEWLINE,
    count_lines,
    matches,
    phrase_table,
    strip,
)
from hornbook.data.jit import kernel

COUNTED = (  # what a counter counts
    *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks"),
    *("upvotes", "downvotes", "downloads", "views", "followers"),
)
ANYWHERE, AT_THE_START, AT_THE_END = "items in cart", "sign-in", "read more..."
SHORT = 10  # words: only so short a line is searched for those three


def measure_page_lines(
    texts: pa.LargeStringArray, max_uppercase: float
) -> dict[str, np.ndarray]:
    """``flagged_word_share`` of each text, float64: the share of words in such lines."""
    return {"flagged_word_share": _flags(texts, max_uppercase)[1]}


def prose_lines(texts: pa.LargeStringArray, max_uppercase: float) -> np.ndarray:
    """bool over all lines of all texts: False for those flagged; blank lines stay."""
    return ~_flags(texts, max_uppercase)[0]


def _flags(
    texts: pa.LargeStringArray, max_uppercase: float
) -> tuple[np.ndarray, np.ndarray]:
    buffer, offsets = text_buffers(texts)
    flagged = np.zeros(count_lines(buffer, offsets), np.bool_)
    share = np.zeros(len(texts))
    tables = (kinds(), capitals(), *phrase_table(COUNTED)[:2])
    phrases = phrase_table((ANYWHERE, AT_THE_START, AT_THE_END))[:2]
    _flag(buffer, offsets, tables, phrases, max_uppercase, flagged, share)
    return flagged, share


@cache
def capitals() -> np.ndarray:
    """bool per code point: is it a capital letter?"""
    return np.array([chr(code).isupper() for code in range(TABLE_SIZE)])


@kernel
def _flag(buffer, offsets, tables, phrases, max_uppercase, flagged, share):
    line = 0
    for d in range(offsets.size - 1):
        i, end = offsets[d], offsets[d + 1]
        words = in_flagged = 0
        while i <= end:
            last = i
            while last < end and buffer[last] != NEWLINE:
                last += 1
            count, bad = _judge(
                buffer, *strip(buffer, i, last), tables, phrases, max_uppercase
            )
            words += count
            in_flagged += count * bad
            flagged[line] = bad
            line += 1
            i = last + 1
        share[d] = in_flagged / max(words, 1)


@kernel
def _judge(buffer, a, b, tables, phrases, max_uppercase):
    """``(words, whether it is flagged)`` of the line ``a:b`` without blanks at its ends."""
    kind_of, capital, counted, counted_lengths = tables
    words = characters = capitals_ = letters = digits = 0
    inside = False
    i = a
    while i < b:
        code, size = code_point(buffer, i, b)
        i += size
        known = code < TABLE_SIZE
        kind = kind_of[code] if known else np.uint8(0)
        characters += 1
        capitals_ += known and capital[code]
        letters += kind == LETTER
        digits += kind == DIGIT
        words += kind != SPACE and not inside
        inside = kind != SPACE
    if words == 0:
        return 0, False
    if words == 1 or capitals_ > max_uppercase * characters:
        return words, True
    if (digits and not letters) or _counts(buffer, a, b, counted, counted_lengths):
        return words, True
    return words, words <= SHORT and _holds(buffer, a, b, *phrases)


@kernel
def _counts(buffer, a, b, counted, lengths):
    """Whether the line is a number and then one of the counted words: "1.2k views"."""
    i = a
    while i < b and (48 <= buffer[i] <= 57 or buffer[i] == 44 or buffer[i] == 46):
        i += 1
    if i == a:
        return False
    if i < b and buffer[i] | 32 in (107, 109, 98):  # k, m, b
        i += 1
    while i < b and buffer[i] == 32:
        i += 1
    for p in range(lengths.size):
        if matches(buffer, i, b, counted[p], lengths[p]):
            return i + lengths[p] == b
    return False


@kernel
def _holds(buffer, a, b, rows, lengths):
    """ "items in cart" anywhere, "sign-in" first, or "read more..." last."""
    if matches(buffer, a, b, rows[1], lengths[1]):
        return True
    if b - lengths[2] >= a and matches(buffer, b - lengths[2], b, rows[2], lengths[2]):
        return True
    found = False
    for i in range(a, b):
        found |= matches(buffer, i, b, rows[0], lengths[0])
    return found
