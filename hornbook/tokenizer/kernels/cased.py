"""The pattern of o200k by windows: words end where small letters meet capitals, too.

See ``windows.py``. Letters are capitals U, small ones L, or of either kind E: those
without case, and marks. A word is ``[UE]*[LE]+``, or ``[UE]+`` where no small letter
follows, and may begin with one other character. So within a run of letters, capitals
start a piece if a small letter stands before them, with only E between. A contraction
belongs to the word before it: its letters are taken out of their run.

What needs more than that is left to the plain scanner: capitals after E alone, which start
a piece if nothing follows them; marks that follow no letter; a slash after newlines, which
may belong to the signs before; a contraction right after another or at a window's edge.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, ZERO, byte_mask, inlined, lowest_bit
from hornbook.tokenizer.kernels.scan import QUOTE, SLASH, char_at
from hornbook.tokenizer.kernels.windows import (
    OWNED,
    THREE,
    TWO,
    after_others,
    blank_starts,
    contractions,
    digit_starts,
)
from hornbook.tokenizer.unicode import LETTER, LOWER, MARK, OTHER, UPPER


@inlined
def character_before(buf, at):
    """Where the character starts that the byte ``at - 1`` is part of."""
    at -= 1
    while buf[at] & 0xC0 == 0x80:
        at -= 1
    return at


@inlined
def cased_characters(buf, at, U, L, classes):
    """(ok, U, L, E, bytes inside a character): the letters of ASCII and all others, as bits."""
    E = ZERO
    high = byte_mask(buf, at, 0, 0x80, 0x80)
    if high == ZERO:
        return True, U, L, E, ZERO
    inside = byte_mask(buf, at, 0, 0x80, 0x40)
    lead = (high & ~inside) | (inside & ONE)  # a window may start inside a character
    while lead != ZERO:
        k = lowest_bit(lead)
        lead &= lead - ONE
        start = at + k
        if k == 0:
            start = character_before(buf, at + 1)
        kind, size = char_at(buf, start, classes)
        bits = ((ONE << np.uint64(start + size - at - k)) - ONE) << np.uint64(k)
        if kind == MARK:
            if k == 0:
                kind, _ = char_at(buf, character_before(buf, start), classes)
                before = kind in (UPPER, LOWER, LETTER)
            else:
                before = ((U | L | E) << ONE) & bits != ZERO
            if not before:
                return False, U, L, E, inside
            E |= bits
        elif kind == UPPER:
            U |= bits
        elif kind == LOWER:
            L |= bits
        elif kind == LETTER:
            E |= bits
        elif kind != OTHER:
            return False, U, L, E, inside
    return True, U, L, E, inside


@inlined
def case_starts(U, L, E):
    """(ok, bits): where capitals within a run of letters start a piece."""
    begin = U & ~(U << ONE)
    small = L | (E & ~(E + (E & (L << ONE))))
    return begin & ((E & ~small) << ONE) == ZERO, begin & (small << ONE)


@inlined
def endings(buf, at, letters):
    """(ok, apostrophes, letters, bytes after) of contractions right after a letter."""
    quotes = byte_mask(buf, at, 0, QUOTE, 1)
    after_letter = quotes & (letters << ONE)
    first, after = contractions(buf, at, after_letter << ONE, 0x20)
    begun = first >> ONE
    chained = begun & (quotes << TWO | quotes << THREE)
    at_edge = buf[at] == QUOTE or buf[at - 1] == QUOTE or buf[at - 2] == QUOTE
    return chained == ZERO and not at_edge, begun, after - first, after


@inlined
def slash_is_clear(buf, at, N, X):
    """Whether no slash may belong to newlines that belong to signs."""
    slashes = byte_mask(buf, at, 0, SLASH, 1)
    tails = N & ~(N + (N & (X << ONE | ONE)))
    return slashes & (tails << ONE | ONE) == ZERO


@inlined
def o200k_starts(buf, at, n, classes):
    """(ok, bits): which owned bytes start a piece of o200k's pattern."""
    U = byte_mask(buf, at, 0, 65, 26)
    L = byte_mask(buf, at, 0, 97, 26)
    D = byte_mask(buf, at, 0, 48, 10)
    S = byte_mask(buf, at, 0, 32, 1)
    N = byte_mask(buf, at, 0, 10, 1) | byte_mask(buf, at, 0, 13, 1)
    W = byte_mask(buf, at, 0, 9, 5) | S
    ok, U, L, E, inside = cased_characters(buf, at, U, L, classes)
    if not ok:
        return False, ZERO
    letters = U | L | E
    X = ~(letters | D | W)
    if not slash_is_clear(buf, at, N, X):
        return False, ZERO
    ok_endings, quotes, gone, after = endings(buf, at, letters)
    X &= ~quotes
    letters &= ~gone
    lone = X & ~(X << ONE) & ~(S << ONE)
    held = (letters << ONE) | ((W & ~N) << ONE) | after_others(lone, inside)
    starts = lone | (letters & ~held & ~inside) | after
    ok_case, bits = case_starts(U & ~gone, L & ~gone, E)
    starts |= bits
    ok_digits, bits = digit_starts(D)
    starts |= bits
    ok_blanks, bits = blank_starts(buf, at, n, W, N, X)
    starts |= bits
    return ok_endings and ok_case and ok_digits and ok_blanks, starts & OWNED
