"""A random order of 0 .. n-1 that is computed, not stored.

A Feistel network is a bijection of the numbers of 2k bits whatever its round function; where
it lands outside the range, it is applied again until it lands inside (cycle walking), which
keeps it a bijection of the range (Black and Rogaway 2002). So the place of any item is known
at once: no shuffled list, and nothing to save and restore.
"""

import numpy as np

ROUNDS = 8


def permute(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """Where ``positions`` (uint64, below ``size``) go under the permutation ``key``."""
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    values = _feistel(positions.astype(np.uint64), half, key)
    outside = values >= size
    while outside.any():
        values[outside] = _feistel(values[outside], half, key)
        outside = values >= size
    return values


def _feistel(values: np.ndarray, half: np.uint64, key: int) -> np.ndarray:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & low
    for turn in range(ROUNDS):
        round_key = np.uint64((key + turn * 0x9E3779B97F4A7C15) % 2**64)
        left, right = right, left ^ (_mix(right + round_key) & low)
    return left << half | right


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread 64-bit numbers over all their bits; the step of SplitMix64 (Steele 2014)."""
    with np.errstate(over="ignore"):
        values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)


def random_number(*parts: int) -> int:
    """A 64-bit number that depends on ``parts`` and nothing else."""
    state = np.zeros(1, np.uint64)
    for part in parts:
        state = _mix(state + np.uint64((part + 0x9E3779B97F4A7C15) % 2**64))
    return int(state[0])
