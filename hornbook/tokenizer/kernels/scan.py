r"""The split patterns as hand-written scanners over UTF-8: where does this piece end?

One function per pattern, each a reading of the regular expression in ``pretokenize.py``.
Texts lie in a buffer with FRONT bytes before and PAD zero bytes after them, so looking a
few bytes back or ahead never leaves it.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import inlined, inner
from hornbook.tokenizer.unicode import (
    BLANK,
    LETTER,
    LOWER,
    MARK,
    NEWLINE,
    NUMBER,
    OTHER,
    UPPER,
)

FRONT, PAD = 8, 80
GPT2, GPT4, LLAMA3, O200K, WHOLE = range(5)  # WHOLE: the text is one piece
RULES = {"gpt2": GPT2, "gpt4": GPT4, "llama3": LLAMA3, "o200k": O200K}

QUOTE, SPACE, SLASH = 39, 32, 47


@inlined
def code_point(buf, i):
    """(code point, size in bytes) of the character at byte ``i`` of valid UTF-8."""
    lead = np.int64(buf[np.uint64(i)])
    if lead < 0x80:
        return lead, 1
    second = np.int64(buf[np.uint64(i + 1)]) & 63
    if lead < 0xE0:
        return (lead & 31) << 6 | second, 2
    third = np.int64(buf[np.uint64(i + 2)]) & 63
    if lead < 0xF0:
        return (lead & 15) << 12 | second << 6 | third, 3
    fourth = np.int64(buf[np.uint64(i + 3)]) & 63
    return (lead & 7) << 18 | second << 12 | third << 6 | fourth, 4


@inlined
def char_at(buf, i, classes):
    """(class, size in bytes) of the character at byte ``i``."""
    point, size = code_point(buf, i)
    return np.int64(classes[np.uint64(point)]), size


@inner
def run_of(buf, i, n, classes, wanted):
    r"""The end of the run of characters of class ``wanted`` that starts at ``i``."""
    while i < n:
        kind, size = char_at(buf, i, classes)
        if kind != wanted:
            break
        i += size
    return i


@inner
def digits(buf, i, n, classes):
    r"""``\p{N}{1,3}``"""
    for _ in range(3):
        if i >= n:
            break
        kind, size = char_at(buf, i, classes)
        if kind != NUMBER:
            break
        i += size
    return i


@inner
def others(buf, i, n, classes, slashes):
    r"""``[^\s\p{L}\p{N}]*[\r\n]*``; with ``slashes`` the tail may hold ``/`` too."""
    while i < n:
        kind, size = char_at(buf, i, classes)
        if kind != OTHER and kind != MARK:
            break
        i += size
    while buf[i] == 10 or buf[i] == 13 or (slashes and buf[i] == SLASH):
        i += 1
    return i


@inner
def contraction(buf, i):
    """Size of what follows an apostrophe at ``i`` in ``'(?i:[sdmt]|ll|ve|re)``, or 0."""
    first, second = buf[i + 1] | 32, buf[i + 2] | 32
    if first == 115 or first == 100 or first == 109 or first == 116:  # s d m t
        return 1
    if buf[i + 1] == 0xC5 and buf[i + 2] == 0xBF:  # U+017F is an s to (?i:)
        return 2
    is_ll = first == 108 and second == 108
    return 2 if is_ll or ((first == 118 or first == 114) and second == 101) else 0


@inlined
def is_small(buf, i, size):
    """Whether the contraction after ``i`` is in small letters, as GPT-2's pattern wants."""
    return buf[i + 1] >= 97 and buf[i + 1] < 128 and (size < 2 or buf[i + 2] >= 97)


@inner
def blanks(buf, i, n, classes, to_end, newlines):
    r"""A run of blanks. ``to_end``: ``\s+`` at the end of the text is one piece;
    ``newlines``: a piece ends after the last newline; else one blank is left for a word.
    """
    start = last = i
    after_newline = 0
    while i < n:
        kind, size = char_at(buf, i, classes)
        if kind < BLANK:
            break
        last = i
        i += size
        if kind == NEWLINE:
            after_newline = i
    if i >= n and to_end:
        return i
    if newlines and after_newline:
        return after_newline
    if i >= n or last == start:
        return i
    return last


@inner
def gpt2_piece(buf, i, n, classes):
    r"""``'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+``"""
    if buf[i] == QUOTE:
        size = contraction(buf, i)
        if size and is_small(buf, i, size):
            return i + 1 + size
    kind, size = char_at(buf, i, classes)
    j = i
    if buf[i] == SPACE and i + 1 < n:
        j = i + 1
        kind, size = char_at(buf, j, classes)
    if kind >= BLANK:
        return blanks(buf, i, n, classes, False, False)
    return run_of(buf, j + size, n, classes, kind)


@inner
def gpt4_piece(buf, i, n, classes, to_end):
    r"""The cl100k pattern (``to_end``) or Llama 3's, which differ only in final blanks."""
    kind, size = char_at(buf, i, classes)
    if kind == LETTER:
        return run_of(buf, i + size, n, classes, LETTER)
    if kind == NUMBER:
        return digits(buf, i, n, classes)
    if kind == NEWLINE:
        return blanks(buf, i, n, classes, to_end, True)
    if buf[i] == QUOTE:
        ending = contraction(buf, i)
        if ending:
            return i + 1 + ending
    j = i + size
    if j >= n:
        return j
    kind_2, size_2 = char_at(buf, j, classes)
    if kind_2 == LETTER:
        return run_of(buf, j + size_2, n, classes, LETTER)
    if kind == OTHER:
        return others(buf, j, n, classes, False)
    if buf[i] == SPACE and kind_2 == OTHER:
        return others(buf, j + size_2, n, classes, False)
    return j if kind_2 < BLANK else blanks(buf, i, n, classes, to_end, True)


@inner
def cl100k_piece(buf, i, n, classes):
    """The pattern of cl100k, GPT-4's."""
    return gpt4_piece(buf, i, n, classes, True)


@inner
def llama3_piece(buf, i, n, classes):
    """Llama 3's pattern."""
    return gpt4_piece(buf, i, n, classes, False)


@inner
def cased_word(buf, i, n, classes):
    """(end, mixed) of o200k's word at ``i``: capitals, then small letters.

    Letters without case and marks may stand on either side. Without a small letter, the
    expression backtracks to the last of those among the capitals; without one of those
    either, capitals alone are a word (``mixed`` is False). No word: ``end`` is ``i``.
    """
    last_either = -1
    while i < n:
        kind, size = char_at(buf, i, classes)
        if kind != UPPER and kind != LETTER and kind != MARK:
            break
        i += size
        if kind != UPPER:
            last_either = i
    capitals = i
    while i < n:
        kind, size = char_at(buf, i, classes)
        if kind != LOWER and kind != LETTER and kind != MARK:
            break
        i += size
    if i > capitals:
        return i, True
    return (last_either, True) if last_either >= 0 else (capitals, False)


@inner
def o200k_piece(buf, i, n, classes):
    r"""The o200k pattern: words split where small letters meet capitals."""
    kind, size = char_at(buf, i, classes)
    if kind == NUMBER:
        return digits(buf, i, n, classes)
    if kind == NEWLINE:
        return blanks(buf, i, n, classes, False, True)
    after = i + size  # anything but a letter may stand before the word
    start = i if kind in (UPPER, LOWER, LETTER) else after
    end, mixed = cased_word(buf, start, n, classes)
    if kind == MARK and not mixed:  # then the mark is the word
        start = i
        end, mixed = cased_word(buf, i, n, classes)
    if end > start:
        ending = contraction(buf, end) if buf[end] == QUOTE else 0
        return end + 1 + ending if ending else end
    if kind < BLANK:
        return others(buf, after, n, classes, True)
    if buf[i] == SPACE and after < n:
        kind_2, size_2 = char_at(buf, after, classes)
        if kind_2 == OTHER:
            return others(buf, after + size_2, n, classes, True)
    return blanks(buf, i, n, classes, False, True)


@inner
def whole(buf, i, n, classes):
    """The text is one piece; it was split before."""
    return n
