"""Where a long piece can be cut because no token reaches across."""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, ZERO, inlined, inner
from hornbook.tokenizer.kernels.merge import LONGEST
from hornbook.tokenizer.kernels.scan import code_point
from hornbook.tokenizer.kernels.slots import MIX_1

JOINED_BITS = 20  # of the hash of a pair of characters
SEVEN, EIGHT = np.uint64(7), np.uint64(8)


@inlined
def character_pair(a, b):
    """Which bit of ``joined`` stands for the characters ``a b``."""
    key = (np.uint64(a) << np.uint64(21)) | np.uint64(b)
    return key * MIX_1 >> np.uint64(64 - JOINED_BITS)


@inlined
def may_be_cut(buf, start, end):
    """Whether to look for cuts: in what is too long for a lane, and in scripts of three bytes.

    Those without blanks have pieces as long as a sentence, all different, of few parts.
    Other pieces are looked up whole, for to look for cuts would take longer.
    """
    wide = buf[np.uint64(start)] >= 0xE0 or buf[np.uint64(start + 1)] >= 0xE0
    return wide or end - start > LONGEST


@inner
def next_cut(buf, start, end, joined, glued):
    """The first place in ``buf[start:end]`` that no token spans, else ``end``.

    BPE never merges across a character boundary whose two characters (``joined``, bits)
    and whose two bytes (``glued``) occur inside no token.
    """
    point, size = code_point(buf, start)
    i = start + size
    while i < end:
        following, size = code_point(buf, i)
        bit = character_pair(point, following)
        together = (joined[bit >> np.uint64(3)] >> (bit & SEVEN)) & ONE
        if together == ZERO:
            edge = (np.uint64(buf[np.uint64(i - 1)]) << EIGHT) | np.uint64(
                buf[np.uint64(i)]
            )
            if not glued[edge]:
                return i
        point = following
        i += size
    return end
