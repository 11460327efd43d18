"""Where pieces start, 64 bytes at a time: the scanner as algebra on bits.

A window is 64 bytes, one bit each. Bits LOW to 59 are owned, the rest is context, so
nothing is carried from window to window. With L letters, D digits, X others (neither nor
blank), S spaces, N newlines, W all blanks, the cl100k and Llama 3 patterns say:

* a letter starts a piece unless it follows a letter, a blank that is no newline, or a lone
  X (one at a boundary: not after an X or a space);
* an X starts a piece unless it follows an X or a space; a digit, every third of its run;
* newlines right after an X belong to it; any other run of blanks starts a piece at its
  first character, after its last newline, and at its last character if that is no newline.

Windows with non-ASCII blanks or numbers, runs that cross a window's edge in a way that needs
more context, and texts' ends in blanks are left to the plain scanner.
"""

from functools import cache
from typing import Any

import numpy as np

from hornbook.tokenizer.kernels.jit import (
    ONE,
    ZERO,
    byte_mask,
    c_function,
    inlined,
    inner,
    lowest_bit,
    view,
)
from hornbook.tokenizer.kernels.scan import (
    GPT2,
    GPT4,
    LLAMA3,
    O200K,
    QUOTE,
    WHOLE,
    char_at,
    contraction,
    gpt2_piece,
    gpt4_piece,
    o200k_piece,
    whole,
)
from hornbook.tokenizer.unicode import LETTER, OTHER

# What a scanner needs of a state (jit.addresses); what follows there is the caller's.
(BUFFER, CLASSES, ENDS, CURSOR) = range(4)
POS, SCAN, STOP, COUNT, SCANNER = range(5)  # of the cursor
LOW, OWN = 5, 55  # 5: a four-byte character and one byte of the character before it
SIZE, AHEAD = 64, 70
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
def window_starts(buf, at, n, classes):
    """(ok, bits): which owned bytes from ``at`` on start a piece; not ok: scan plainly."""
    L = byte_mask(buf, at, 0x20, 97, 26)
    D = byte_mask(buf, at, 0, 48, 10)
    S = byte_mask(buf, at, 0, 32, 1)
    N = byte_mask(buf, at, 0, 10, 1) | byte_mask(buf, at, 0, 13, 1)
    W = byte_mask(buf, at, 0, 9, 5) | S
    high = byte_mask(buf, at, 0, 0x80, 0x80)
    inside = ZERO  # bytes inside a character, after its first
    if high != ZERO:
        inside = byte_mask(buf, at, 0, 0x80, 0x40)
        cut = inside & ONE != ZERO
        ok, wide = wide_letters(buf, at, high & ~inside, cut, classes)
        if not ok:
            return False, ZERO
        L |= wide
    X = ~(L | D | W)
    lone = X & ~(X << ONE) & ~(S << ONE)
    after = (
        lone << ONE
    )  # the byte after; of a longer character, the byte after its last
    after_lone = (after & ~inside) | ((inside + (after & inside)) & ~inside)
    starts = lone | (L & ~((L << ONE) | ((W & ~N) << ONE) | after_lone) & ~inside)
    ok_digits, bits = digit_starts(D)
    starts |= bits
    ok_blanks, bits = blank_starts(buf, at, n, W, N, X)
    starts |= bits
    quotes = byte_mask(buf, at, 0, QUOTE, 1) & lone
    while quotes != ZERO:
        k = lowest_bit(quotes)
        quotes &= quotes - ONE
        end = k + 1 + contraction(buf, at + k)
        if end > k + 1 and end < SIZE:
            starts |= ONE << np.uint64(end)
    return ok_digits and ok_blanks, starts & OWNED


@inner
def by_windows(address, to_end):
    """Find ends for the cl100k pattern (``to_end``) or Llama 3's."""
    buf, classes = view(address, BUFFER, np.uint8), view(address, CLASSES, np.uint8)
    ends, cursor = view(address, ENDS, np.uint64), view(address, CURSOR, np.int64)
    pos, scan, n = cursor[POS], cursor[SCAN], cursor[STOP]
    m, limit = 0, len(ends) - SIZE
    # The zeros after a text look like an X; only blanks at its very end need more care.
    last = buf[n - 1]
    until = n - AHEAD if last == 32 or last == 9 or last == 11 or last == 12 else n
    while m < limit and pos < n:
        if scan >= until:
            pos = gpt4_piece(buf, pos, n, classes, to_end) if scan < n else n
            ends[np.uint64(m)] = pos
            m += 1
            scan = max(scan, pos + 1)
            continue
        base = scan - LOW
        ok, bits = window_starts(buf, base, n, classes)
        if ok:
            if base + SIZE > n:
                bits &= (ONE << np.uint64(n - base)) - ONE
            while bits != ZERO:
                pos = base + lowest_bit(bits)
                bits &= bits - ONE
                ends[np.uint64(m)] = pos
                m += 1
            scan += OWN
        else:
            stop = min(scan + OWN, n)
            while pos < stop and m < limit + SIZE - 4:
                pos = gpt4_piece(buf, pos, n, classes, to_end)
                ends[np.uint64(m)] = pos
                m += 1
            scan = max(scan, pos + 1)
    cursor[POS], cursor[SCAN], cursor[COUNT] = pos, scan, m


def one_by_one(next_piece):
    """The loop that finds ends by a scanner of ``scan.py``."""

    @inner
    def loop(address):
        buf, classes = view(address, BUFFER, np.uint8), view(address, CLASSES, np.uint8)
        ends, cursor = view(address, ENDS, np.uint64), view(address, CURSOR, np.int64)
        m, pos, n = 0, cursor[POS], cursor[STOP]
        while m < len(ends) and pos < n:
            pos = next_piece(buf, pos, n, classes)
            ends[np.uint64(m)] = pos
            m += 1
        cursor[POS], cursor[SCAN], cursor[COUNT] = pos, pos + 1, m

    return loop


gpt2_ends, o200k_ends = one_by_one(gpt2_piece), one_by_one(o200k_piece)
whole_ends = one_by_one(whole)


def scan_gpt2(address):
    """GPT-2's pattern."""
    gpt2_ends(address)


def scan_gpt4(address):
    """The pattern of cl100k."""
    by_windows(address, True)


def scan_llama3(address):
    """Llama 3's pattern."""
    by_windows(address, False)


def scan_o200k(address):
    """The pattern of o200k."""
    o200k_ends(address)


def scan_whole(address):
    """Texts that were split before."""
    whole_ends(address)


FUNCTIONS = {
    GPT2: scan_gpt2,
    GPT4: scan_gpt4,
    LLAMA3: scan_llama3,
    O200K: scan_o200k,
    WHOLE: scan_whole,
}


@cache
def scanner(rule: int) -> Any:
    """The C function that finds the pieces of one split pattern; only it is compiled.

    It goes on where CURSOR says, and writes the ends of pieces to ENDS until that is nearly
    full, and to CURSOR how many. Everything before SCAN > POS has been looked at.
    """
    return c_function(FUNCTIONS[rule])
