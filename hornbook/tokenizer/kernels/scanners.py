"""The scanners: C functions that kernels call for where the next pieces end.

A pattern is scanned by windows (``windows.py``) where it has them, else piece by piece
(``scan.py``). Only the scanner in use is compiled.
"""

from functools import cache
from typing import Any

import numpy as np

from hornbook.tokenizer.kernels.cased import o200k_starts
from hornbook.tokenizer.kernels.jit import (
    ONE,
    ZERO,
    c_function,
    count_bits,
    inner,
    lowest_bit,
    view,
)
from hornbook.tokenizer.kernels.scan import (
    GPT2,
    GPT4,
    LLAMA3,
    O200K,
    WHOLE,
    cl100k_piece,
    gpt2_piece,
    llama3_piece,
    o200k_piece,
    whole,
)
from hornbook.tokenizer.kernels.windows import LOW, OWN, SIZE, gpt2_starts, gpt4_starts

# What a scanner needs of a state (jit.addresses); what follows there is the caller's.
(BUFFER, CLASSES, ENDS, CURSOR) = range(4)
POS, SCAN, STOP, COUNT, SCANNER = range(5)  # of the cursor
AHEAD = 70


def named_inner(name, loop):
    """``@inner`` for one of several functions made by the same lines.

    Compiled code goes by its function's name and a number that each process counts for
    itself. Of two loops with one name, compiled in two processes and loaded from the cache
    into a third, the second could be taken for the first.
    """
    loop.__qualname__ = name
    return inner(loop)


def by_windows(name, starts_of, next_piece, plain_start=False):
    """The loop that finds ends by windows, and by ``next_piece`` where those can't.

    Before a text the buffer looks as if there were small letters. Where that matters, the
    text has a ``plain_start``.
    """

    def loop(address):
        buf, classes = view(address, BUFFER, np.uint8), view(address, CLASSES, np.uint8)
        ends, cursor = view(address, ENDS, np.uint64), view(address, CURSOR, np.int64)
        pos, scan, n = cursor[POS], cursor[SCAN], cursor[STOP]
        m, limit = 0, len(ends) - SIZE
        # The zeros after a text look like an X; only blanks at its end need more care.
        last = buf[n - 1]
        until = n - AHEAD if last == 32 or 9 <= last <= 13 else n
        plain = plain_start and scan == pos + 1
        while m < limit and pos < n:
            if scan >= until:
                pos = next_piece(buf, pos, n, classes) if scan < n else n
                ends[np.uint64(m)] = pos
                m += 1
                scan = max(scan, pos + 1)
                continue
            base = scan - LOW
            ok, bits = starts_of(buf, base, n, classes)
            if ok and not plain:
                if base + SIZE > n:
                    bits &= (ONE << np.uint64(n - base)) - ONE
                after = m + count_bits(bits)
                while bits != ZERO:  # by eights, for a jump seldom foretold costs more
                    for _ in range(8):
                        ends[np.uint64(m)] = base + lowest_bit(bits)
                        bits &= bits - ONE
                        m += 1
                m = after
                pos = np.int64(ends[np.uint64(m - 1)]) if m > 0 else pos
                scan += OWN
            else:
                stop = min(scan + OWN, n)
                while pos < stop and m < limit + SIZE - 4:
                    pos = next_piece(buf, pos, n, classes)
                    ends[np.uint64(m)] = pos
                    m += 1
                scan = max(scan, pos + 1)
                plain = False
        cursor[POS], cursor[SCAN], cursor[COUNT] = pos, scan, m

    return named_inner(name, loop)


def one_by_one(name, next_piece):
    """The loop that finds ends by a scanner of ``scan.py``."""

    def loop(address):
        buf, classes = view(address, BUFFER, np.uint8), view(address, CLASSES, np.uint8)
        ends, cursor = view(address, ENDS, np.uint64), view(address, CURSOR, np.int64)
        m, pos, n = 0, cursor[POS], cursor[STOP]
        while m < len(ends) and pos < n:
            pos = next_piece(buf, pos, n, classes)
            ends[np.uint64(m)] = pos
            m += 1
        cursor[POS], cursor[SCAN], cursor[COUNT] = pos, pos + 1, m

    return named_inner(name, loop)


gpt2_ends = by_windows("gpt2_ends", gpt2_starts, gpt2_piece)
gpt4_ends = by_windows("gpt4_ends", gpt4_starts, cl100k_piece)
llama3_ends = by_windows("llama3_ends", gpt4_starts, llama3_piece)
o200k_ends = by_windows("o200k_ends", o200k_starts, o200k_piece, plain_start=True)
whole_ends = one_by_one("whole_ends", whole)


def scan_gpt2(address):
    """GPT-2's pattern."""
    gpt2_ends(address)


def scan_gpt4(address):
    """The pattern of cl100k."""
    gpt4_ends(address)


def scan_llama3(address):
    """Llama 3's pattern."""
    llama3_ends(address)


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
