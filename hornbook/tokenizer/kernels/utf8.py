"""Is this UTF-8? Checked 64 bytes at a time, like the windows of ``windows.py``.

Each first byte says how many bytes must follow it (10xxxxxx), so the following bytes must
be exactly those that are asked for; and four first bytes allow only part of the second
byte's range, which rules out needless length (E0, F0), surrogates (ED) and code points
beyond U+10FFFF (F4).
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, ZERO, byte_mask, inlined, kernel

LOOK_BACK, OWN = 3, 61  # the first three bytes of a window may be asked for before it
OWNED = ~np.uint64(7)
TWO, THREE = np.uint64(2), np.uint64(3)


@inlined
def wrong_bytes(buf, at):
    """Bits of the bytes ``at + 3`` to ``at + 63`` that break a character."""
    if byte_mask(buf, at, 0, 0x80, 0x80) == ZERO:
        return ZERO
    follow = byte_mask(buf, at, 0, 0x80, 0x40)
    two, three = byte_mask(buf, at, 0, 0xC2, 0x1E), byte_mask(buf, at, 0, 0xE0, 0x10)
    four, never = byte_mask(buf, at, 0, 0xF0, 5), byte_mask(buf, at, 0, 0xC0, 2)
    never |= byte_mask(buf, at, 0, 0xF5, 11)
    asked = (two | three | four) << ONE
    asked |= (three | four) << TWO | four << THREE
    never |= (byte_mask(buf, at, 0, 0xE0, 1) << ONE) & byte_mask(buf, at, 0, 0x80, 0x20)
    never |= (byte_mask(buf, at, 0, 0xED, 1) << ONE) & byte_mask(buf, at, 0, 0xA0, 0x20)
    never |= (byte_mask(buf, at, 0, 0xF0, 1) << ONE) & byte_mask(buf, at, 0, 0x80, 0x10)
    never |= (byte_mask(buf, at, 0, 0xF4, 1) << ONE) & byte_mask(buf, at, 0, 0x90, 0x30)
    return ((follow ^ asked) | never) & OWNED


@kernel
def is_utf8(buf, start, stop):
    """Whether ``buf[start:stop]`` is UTF-8; FRONT and PAD bytes that are surround it."""
    at = start - LOOK_BACK
    while at < stop:
        if wrong_bytes(buf, at) != ZERO:
            return False
        at += OWN
    return True
