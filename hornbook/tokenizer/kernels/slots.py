"""A hash table whose keys are pieces of text: the cache of encoding, the count of training.

Open addressing over slots of four 64-bit words, two to a cache line:

* a piece of 1 to 15 bytes is its own key: word 0 holds bytes 0 to 7, word 1 bytes 8 to 14
  and the length in the top byte;
* a longer one has its hash in word 0 and, in word 1, the mark LONG and where its bytes lie
  in ``seen``, after eight bytes of length;
* words 2 and 3 are the table's owner's. An empty slot has word 1 zero.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import ONE, ZERO, inlined, kernel, load64, store64

SHORT = 15  # bytes that fit a key
LONG = np.uint64(16 << 56)
TWO, THREE = np.uint64(2), np.uint64(3)
BITS_2, BITS_32, BITS_56 = np.uint64(2), np.uint64(32), np.uint64(56)
LOW_56 = np.uint64((1 << 56) - 1)
MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
KEEP_0 = np.array([(1 << 8 * min(n, 8)) - 1 for n in range(16)], np.uint64)
KEEP_1 = np.array([(1 << 8 * max(n - 8, 0)) - 1 for n in range(16)], np.uint64)


@inlined
def piece_key(buf, start, size):
    """Words 0 and 1 of the key of ``buf[start:start + size]`` (LONG alone if long)."""
    if size > SHORT:
        return hash_bytes(buf, start, size), LONG
    return short_key(buf, start, size)


@inlined
def short_key(buf, start, size):
    """Words 0 and 1 of the key of at most SHORT bytes."""
    kept = np.uint64(size)
    key_0 = load64(buf, start) & KEEP_0[kept]
    key_1 = (load64(buf, start + 8) & KEEP_1[kept]) | (kept << BITS_56)
    return key_0, key_1


@inlined
def home(key_0, key_1, bits):
    """Index of the first word of the slot where this key's search begins."""
    mixed = key_0 ^ (key_1 * MIX_2)
    mixed ^= mixed >> BITS_32
    return ((mixed * MIX_1) >> np.uint64(64 - bits)) << BITS_2


@inlined
def hash_bytes(buf, start, size):
    """A 64-bit hash of ``buf[start:start + size]``."""
    mixed, i = np.uint64(size) * MIX_2, 0
    while i + 8 <= size:
        mixed = (mixed ^ load64(buf, start + i)) * MIX_1
        mixed ^= mixed >> BITS_32
        i += 8
    rest = load64(buf, start + i) & KEEP_0[np.uint64(size - i)]
    mixed = (mixed ^ rest) * MIX_1
    return mixed ^ (mixed >> BITS_32)


@inlined
def same_bytes(a, i, b, j, size):
    """Whether ``a[i:i + size] == b[j:j + size]``."""
    k = 0
    while k + 8 <= size:
        if load64(a, i + k) != load64(b, j + k):
            return False
        k += 8
    return (load64(a, i + k) ^ load64(b, j + k)) & KEEP_0[np.uint64(size - k)] == ZERO


@inlined
def find(table, at, key_0, key_1, buf, start, size, seen):
    """The slot of a piece whose home is ``at``, or the empty slot where it belongs."""
    mask = np.uint64(len(table) - 1)
    while table[at + ONE] != ZERO:
        if table[at] == key_0:
            word = table[at + ONE]
            if key_1 != LONG:
                if word == key_1:
                    break
            elif word >> BITS_56 == np.uint64(16):
                place = np.int64(word & LOW_56)
                if np.int64(load64(seen, place - 8)) == size and same_bytes(
                    buf, start, seen, place, size
                ):
                    break
        at = (at + np.uint64(4)) & mask
    return at


@inlined
def occupy(table, at, key_0, key_1, buf, start, size, seen, used):
    """Write a key into its empty slot; ``used`` counts slots and bytes of ``seen``."""
    if key_1 == LONG:
        place = used[1] + 8
        store64(seen, used[1], np.uint64(size))
        for i in range(np.uint64(size)):
            seen[np.uint64(place) + i] = buf[np.uint64(start) + i]
        key_1 |= np.uint64(place)
        used[1] = place + size
    table[at] = key_0
    table[at + ONE] = key_1
    used[0] += 1


@kernel
def rehash(old, old_bits, new, new_bits):
    """Copy every slot of ``old`` into the larger, empty ``new``."""
    mask = (np.uint64(4) << np.uint64(new_bits)) - ONE
    for slot in range(1 << old_bits):
        source = np.uint64(4 * slot)
        key_1 = old[source + ONE]
        if key_1 == ZERO:
            continue
        at = home(
            old[source], LONG if key_1 >> BITS_56 == np.uint64(16) else key_1, new_bits
        )
        while new[at + ONE] != ZERO:
            at = (at + np.uint64(4)) & mask
        new[at], new[at + ONE] = old[source], key_1
        new[at + TWO], new[at + THREE] = old[source + TWO], old[source + THREE]


def empty_table(bits: int) -> np.ndarray:
    """A table of ``2**bits`` empty slots whose slots don't cross cache lines."""
    words = np.zeros((4 << bits) + 8, np.uint64)
    skip = -words.ctypes.data % 64 // 8
    return words[skip : skip + (4 << bits)]
