"""Decoding: ids to bytes, by two stores a token.

A token of up to 15 bytes lies in a slot of two words, as pieces do in ``slots.py``: its
bytes, and in the last byte how many. Both words are written whatever its length, and the
next token begins where this one ends.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, kernel, load64, store64

BITS_56 = np.uint64(56)


@kernel
def decoded_size(ids, sizes):
    """How many bytes all ``ids`` stand for; -1 when one has no size in ``sizes``."""
    total = 0
    for i in range(np.uint64(len(ids))):
        token = np.int64(ids[i])
        if token < 0 or token >= len(sizes):
            return -1
        total += np.int64(sizes[np.uint64(token)])
    return total


@kernel
def token_bytes(ids, slots, offsets, blob, out):
    """Write the bytes of every id, one after another.

    ``slots`` is flat, two words a token; one whose last byte is LONG lies in
    ``blob[offsets[id]:offsets[id + 1]]``. ``out`` has room for 16 bytes more.
    """
    o = 0
    for i in range(np.uint64(len(ids))):
        token = np.uint64(ids[i])
        first, second = slots[token << ONE], slots[(token << ONE) | ONE]
        store64(out, o, first)
        store64(out, o + 8, second)
        size = np.int64(second >> BITS_56)
        if size > 15:
            start = offsets[token]
            size = offsets[token + ONE] - start
            for k in range(0, size, 8):
                store64(out, o + k, load64(blob, start + k))
        o += size
