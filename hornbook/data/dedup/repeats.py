"""Which of many hashes occur more than once, and where the best place of each one is.

Most lines and runs of words of a corpus are unique, and those should cost little memory.
A first pass therefore only sets bits: one table for "seen", one for "seen again", each of
eight bits or more per hash. Only what was seen again (and the one in eight that shares its
bit by chance) is put into the exact table that the second pass fills: 2 to 4 bytes for the
bits, and about 40 per hash in the table. Hashes have 64 bits: among a billion different ones
the chance that any two are equal is 3 %. Nothing depends on the order of the calls.
"""

import numpy as np

from hornbook.data.jit import kernel

FULL = 0.6  # share of the slots in use beyond which the table doubles


class Repeats:
    """Call :meth:`see` for everything, then :meth:`own` for everything, then :meth:`find`."""

    def __init__(self, expected: int) -> None:
        self._bits = max(int(8 * expected).bit_length(), 16)
        self._seen = np.zeros(1 << (self._bits - 3), np.uint8)
        self._again = np.zeros(1 << (self._bits - 3), np.uint8)
        self._keys, self._owners = np.zeros(1024, np.uint64), np.zeros(1024, np.int32)
        self._used = np.zeros(0, bool)
        self._count = 0

    def see(self, hashes: np.ndarray) -> None:
        """First pass: ``hashes`` (uint64) occur."""
        _see(hashes, self._bits, self._seen, self._again)

    def own(self, hashes: np.ndarray, ranks: np.ndarray) -> None:
        """Second pass: hash ``i`` occurs in the document of rank ``ranks[i]``."""
        again = _was_seen_again(hashes, self._bits, self._again)
        hashes, ranks = hashes[again], ranks[again]
        while self._count + len(hashes) > FULL * len(self._keys):
            old_keys, old_owners = self._keys, self._owners
            self._keys = np.zeros(2 * len(old_keys), np.uint64)
            self._owners = np.zeros(2 * len(old_keys), np.int32)
            _own(
                old_keys[old_keys > 0],
                old_owners[old_keys > 0],
                self._keys,
                self._owners,
            )
        self._count += _own(hashes, ranks, self._keys, self._owners)

    def find(self, hashes: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        """Third pass: for each hash whether a better document has it, or this one before."""
        if len(self._used) != len(self._keys):
            self._used = np.zeros(len(self._keys), bool)
        found = np.zeros(len(hashes), bool)
        _find(hashes, ranks, self._keys, self._owners, self._used, found)
        return found


@kernel
def _see(hashes, bits, seen, again):
    for h in hashes:
        bit = h >> np.uint64(64 - bits)
        at, flag = bit >> np.uint64(3), np.uint8(1 << (bit & np.uint64(7)))
        again[at] |= seen[at] & flag
        seen[at] |= flag


@kernel
def _was_seen_again(hashes, bits, again):
    found = np.empty(hashes.size, np.bool_)
    for i in range(hashes.size):
        bit = hashes[i] >> np.uint64(64 - bits)
        found[i] = again[bit >> np.uint64(3)] >> (bit & np.uint64(7)) & np.uint64(1)
    return found


@kernel
def _slot(h, keys):
    """Where ``h`` is in the table, or would be. 0 marks an empty slot; nothing hashes to it."""
    mask = np.uint64(keys.size - 1)
    at = h & mask
    while keys[at] != 0 and keys[at] != h:
        at = (at + np.uint64(1)) & mask
    return at


@kernel
def _own(hashes, ranks, keys, owners):
    added = 0
    for i in range(hashes.size):
        at = _slot(hashes[i], keys)
        if keys[at] == 0:
            keys[at], owners[at] = hashes[i], ranks[i]
            added += 1
        else:
            owners[at] = min(owners[at], ranks[i])
    return added


@kernel
def _find(hashes, ranks, keys, owners, used, found):
    for i in range(hashes.size):
        at = _slot(hashes[i], keys)
        if keys[at] != 0:
            found[i] = owners[at] != ranks[i] or used[at]
            used[at] |= owners[at] == ranks[i]
