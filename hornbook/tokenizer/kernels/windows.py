"""Where pieces start, 64 bytes at a time: the scanner as algebra on bits.

A window is 64 bytes, one bit each. Bits LOW to 59 are owned, the rest is context, so
nothing is carried from window to window. With L letters, D digits, X others (neither nor
blank), S spaces, N newlines, W all blanks, the cl100k and Llama 3 patterns say:

* a letter starts a piece unless it follows a letter, a blank that is no newline, or a lone
  X (one at a boundary: not after an X or a space);
* an X starts a piece unless it follows an X or a space; a digit, every third of its run;
* newlines right after an X belong to it; any other run of blanks starts a piece at its
  first character, after its last newline, and at its last character if that is no newline.

GPT-2's pattern is simpler: see :func:`gpt2_starts`. That of o200k, which also splits words
by case, is in ``cased.py``.

Windows with non-ASCII blanks or numbers, runs that cross a window's edge in a way that needs
more context, and texts' ends in blanks are left to the plain scanner.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, ZERO, byte_mask, inlined, lowest_bit
from hornbook.tokenizer.kernels.scan import QUOTE, char_at
from hornbook.tokenizer.unicode import LETTER, OTHER

LOW, OWN = 5, 55  # 5: a four-byte character and one byte of the character before it
SIZE = 64
OWNED = np.uint64(((1 << OWN) - 1) << LOW)
FIRST_5, FIRST_6 = np.uint64(0x1F), np.uint64(0x3F)
TWO, THREE, LAST_5 = np.uint64(2), np.uint64(3), np.uint64(59)


@inlined
def wide_letters(buf, at, lead, cut, classes):
    """(ok, bits) of the non-ASCII letters; not ok when one is a blank or a number.

    ``lead`` marks first bytes; ``cut`` says that the window starts inside a character.
    """
    bits = ZERO
    if cut:
        first = at - 1
        while buf[first] & 0xC0 == 0x80:
            first -= 1
        kind, size = char_at(buf, first, classes)
        if kind == LETTER:
            bits = (ONE << np.uint64(first + size - at)) - ONE
        elif kind != OTHER:
            return False, ZERO
    while lead != ZERO:
        k = lowest_bit(lead)
        lead &= lead - ONE
        kind, size = char_at(buf, at + k, classes)
        if kind == LETTER:
            bits |= ((ONE << np.uint64(size)) - ONE) << np.uint64(k)
        elif kind != OTHER:
            return False, ZERO
    return True, bits


@inlined
def sure_letters(buf, at):
    """First bytes that only letters have: (of two bytes, of three).

    Latin U+00C0 to U+02AF less two signs, Cyrillic U+0400 to U+047F; Han U+5000 to U+8FFF,
    Hangul U+B000 to U+CFFF.
    """
    signs = byte_mask(buf, at, 0x20, 0xB7, 1)  # U+00D7 and U+00F7: C3 97, C3 B7
    two = byte_mask(buf, at, 0, 0xC3, 1) & ~(signs >> ONE)
    two |= byte_mask(buf, at, 0, 0xC4, 7) | byte_mask(buf, at, 0, 0xD0, 2)
    return two, byte_mask(buf, at, 0, 0xE5, 4) | byte_mask(buf, at, 0, 0xEB, 2)


@inlined
def wide_characters(buf, at, classes):
    """(ok, bits of non-ASCII letters, bits of bytes inside a character, not its first)."""
    high = byte_mask(buf, at, 0, 0x80, 0x80)
    if high == ZERO:
        return True, ZERO, ZERO
    inside = byte_mask(buf, at, 0, 0x80, 0x40)
    two, three = sure_letters(buf, at)
    lead = high & ~(inside | two | three)
    ok, bits = wide_letters(buf, at, lead, inside & ONE != ZERO, classes)
    sure = two | (two | three) << ONE | three | three << TWO
    return ok, bits | sure, inside


@inlined
def digit_starts(D):
    """(ok, bits): every third digit of each run starts a piece."""
    first = D & ~(D << ONE)
    starts = first
    fours = D & (D << ONE) & (D << TWO) & (D << THREE)
    if fours != ZERO:
        if D & FIRST_6 == FIRST_6:  # the run began before the window
            return False, ZERO
        group = (first << THREE) & fours
        while group != ZERO:
            starts |= group
            group = (group << THREE) & fours
    return True, starts


@inlined
def blank_starts(buf, at, n, W, N, X):
    """(ok, bits): where runs of blanks start pieces."""
    if N & FIRST_5 == FIRST_5:  # are these newlines part of an X run before the window?
        return False, ZERO
    taken = N & ~(N + (N & (X << ONE)))  # newlines that belong to the X run before them
    Z = W & ~N
    starts = (W & ~taken & (~(W << ONE) | (taken << ONE))) | (Z & ~(W >> ONE))
    after_newline = Z & (N << ONE)
    if after_newline != ZERO:
        between = Z & (N >> ONE)  # runs of blanks between newlines hold no boundary
        if Z >> LAST_5 == FIRST_5:
            j = at + SIZE
            while buf[j] == 32 or buf[j] == 9 or buf[j] == 11 or buf[j] == 12:
                j += 1
            if buf[j] == 10 or buf[j] == 13:
                between |= ONE << np.uint64(63)
            elif buf[j] >= 0x80 or j >= n:
                return False, ZERO
        while between != ZERO:
            after_newline &= ~between
            between = (between >> ONE) & Z
        starts |= after_newline
    return True, starts


@inlined
def contractions(buf, at, first, raised):
    """``(?:[sdmt]|ll|ve|re)`` at the bits of ``first``: (those that begin one, where it ends).

    ``raised`` is 0x20 for capitals too, and then U+017F is an s.
    """
    one = byte_mask(buf, at, raised, 115, 2)  # s t
    one |= byte_mask(buf, at, raised, 100, 1) | byte_mask(buf, at, raised, 109, 1)
    ell, e = byte_mask(buf, at, raised, 108, 1), byte_mask(buf, at, raised, 101, 1)
    v_r = byte_mask(buf, at, raised, 118, 1) | byte_mask(buf, at, raised, 114, 1)
    two = (ell & (ell >> ONE)) | (v_r & (e >> ONE))
    if raised:
        long_s = byte_mask(buf, at, 0, 0xBF, 1) >> ONE
        two |= byte_mask(buf, at, 0, 0xC5, 1) & long_s
    one, two = first & one, first & two
    return one | two, (one << ONE) | (two << TWO)


@inlined
def after_others(first, inside):
    """The bytes after characters, not letters, given by their first bytes."""
    after = first << ONE
    return (after & ~inside) | ((inside + (after & inside)) & ~inside)


@inlined
def gpt4_starts(buf, at, n, classes):
    """(ok, bits): which owned bytes start a piece of the cl100k or Llama 3 pattern."""
    L = byte_mask(buf, at, 0x20, 97, 26)
    D = byte_mask(buf, at, 0, 48, 10)
    S = byte_mask(buf, at, 0, 32, 1)
    N = byte_mask(buf, at, 0, 10, 1) | byte_mask(buf, at, 0, 13, 1)
    W = byte_mask(buf, at, 0, 9, 5) | S
    ok, wide, inside = wide_characters(buf, at, classes)
    if not ok:
        return False, ZERO
    L |= wide
    X = ~(L | D | W)
    lone = X & ~(X << ONE) & ~(S << ONE)
    after = after_others(lone, inside)
    starts = lone | (L & ~((L << ONE) | ((W & ~N) << ONE) | after) & ~inside)
    ok_digits, bits = digit_starts(D)
    starts |= bits
    ok_blanks, bits = blank_starts(buf, at, n, W, N, X)
    starts |= bits
    quotes = byte_mask(buf, at, 0, QUOTE, 1) & lone
    if quotes != ZERO:
        _, after = contractions(buf, at, quotes << ONE, 0x20)
        starts |= after
    return ok_digits and ok_blanks, starts & OWNED


@inlined
def gpt2_starts(buf, at, n, classes):
    """(ok, bits): which owned bytes start a piece of GPT-2's pattern.

    Letters, digits and others start one alike: where their run does, unless a space stands
    before it, which begins the piece. Of a run of blanks the last goes with what follows.
    """
    L = byte_mask(buf, at, 0x20, 97, 26)
    D = byte_mask(buf, at, 0, 48, 10)
    S = byte_mask(buf, at, 0, 32, 1)
    W = byte_mask(buf, at, 0, 9, 5) | S
    ok, wide, _ = wide_characters(buf, at, classes)
    if not ok:
        return False, ZERO
    L |= wide
    X = ~(L | D | W)
    runs = (L & ~(L << ONE)) | (D & ~(D << ONE)) | (X & ~(X << ONE))
    starts = (runs & ~(S << ONE)) | (W & ~(W << ONE)) | (W & ~(W >> ONE))
    quotes = byte_mask(buf, at, 0, QUOTE, 1) & starts
    if quotes != ZERO:
        letters, after = contractions(buf, at, quotes << ONE, 0)
        starts = (starts & ~letters) | after
    return True, starts & OWNED
