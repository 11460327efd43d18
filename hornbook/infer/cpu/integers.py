"""Matrices of small integers, and their products with activations.

8 or 4 bits a weight (:class:`Bytes`, :class:`Nibbles`), and one float16 scale for every 32
columns. A product is a sum of integers: activations become 16-bit integers first, by their
largest value in the same 32 columns, which loses nothing that matters (one part in
65,000). Eight groups of 32 are worked on side by side, so the integers are stored in the
order in which they are read: see :func:`interleaved`. Rows are padded with zeros to whole
blocks of 256 columns.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from hornbook.infer.cpu import lanes
from hornbook.infer.cpu.aligned import aligned
from hornbook.infer.cpu.jit import inner, kernel

GROUP = 32  # columns that share a scale
BLOCK = 8 * GROUP  # columns that are worked on side by side


class Bytes(NamedTuple):
    """``weight = scale * code``, codes from -127 to 127."""

    codes: np.ndarray  # (layers, outputs, inputs) int8, interleaved
    scales: np.ndarray  # (layers, outputs, inputs / 32) uint16: float16


class Nibbles(NamedTuple):
    """``weight = scale * (code - 8)``, codes from 0 to 15, two to a byte."""

    codes: np.ndarray  # (layers, outputs, inputs / 2) int8, interleaved
    scales: np.ndarray  # (layers, outputs, inputs / 32) uint16: float16


def interleaved(columns: np.ndarray) -> np.ndarray:
    """Reorder the last axis, a multiple of 256 long, the way the kernels read it.

    Of each block of eight groups: the first two columns of every group, then the next two
    of every group, and so on. A vector of 16 sums then belongs to the eight groups twice.
    """
    shape = columns.shape
    blocks = columns.reshape(*shape[:-1], -1, 8, GROUP // 2, 2)
    return np.ascontiguousarray(blocks.swapaxes(-3, -2)).reshape(shape)


def bytes_matrix(codes: np.ndarray, scales: np.ndarray) -> Bytes:
    """Pack codes (layers, outputs, inputs) int8 and scales (..., inputs / 32) float16."""
    codes, scales = _whole_blocks(codes, scales)
    return Bytes(aligned(interleaved(codes)), aligned(scales.view(np.uint16)))


def nibbles_matrix(codes: np.ndarray, scales: np.ndarray) -> Nibbles:
    """The same of 4-bit codes (layers, outputs, inputs) int8 from -8 to 7."""
    codes, scales = _whole_blocks(codes, scales)
    ordered = (interleaved(codes) + 8).astype(np.uint8)
    nibbles = ordered.reshape(*codes.shape[:-1], -1, 2, lanes.WORDS)
    packed = nibbles[..., 0, :] | (nibbles[..., 1, :] << 4)
    packed = packed.reshape(*codes.shape[:-1], -1).view(np.int8)
    return Nibbles(aligned(packed), aligned(scales.view(np.uint16)))


def _whole_blocks(
    codes: np.ndarray, scales: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return _padded(codes, BLOCK), _padded(scales, BLOCK // GROUP)


def _padded(array: np.ndarray, multiple: int) -> np.ndarray:
    missing = -array.shape[-1] % multiple
    if not missing:
        return np.ascontiguousarray(array)
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])


@inner()
def quantize(x, groups):
    """16-bit integers of ``x`` (sequences, width), interleaved; steps; sums by group.

    ``x = step * integer``; ``sums`` are those of the integers times their step. Both are
    (sequences, groups) float32.
    """
    n, width = x.shape
    words = np.zeros((n, groups * GROUP), np.int16)
    steps = np.zeros((n, groups), np.float32)
    sums = np.zeros((n, groups), np.float32)
    for s in range(n):
        for g in range(-(-width // GROUP)):
            first, last = g * GROUP, min(width, (g + 1) * GROUP)
            largest = np.float32(0)
            for i in range(first, last):
                largest = max(largest, abs(x[s, i]))
            if largest == 0:
                continue
            step = largest / np.float32(32767)
            inverse = np.float32(1) / step
            start = g // 8 * BLOCK + g % 8 * 2  # see interleaved
            count = np.int32(0)
            for i in range(first, last):
                word = np.int32(np.rint(x[s, i] * inverse))
                at = i - first
                words[s, start + at // 2 * 16 + at % 2] = word
                count += word
            steps[s, g] = step
            sums[s, g] = np.float32(count) * step
    return words, steps, sums


@kernel(parallel=True)
def multiply_bytes(codes, scales, words, steps, sums, out, add):
    """One layer's product of :class:`Bytes`; threads share the rows."""
    for i in prange(codes.shape[0]):
        row, scale = codes[i], scales[i]
        for s in range(words.shape[0]):
            result = _dot_bytes(row, scale, words[s], steps[s])
            out[s, i] = out[s, i] + result if add else result


@inner()
def _dot_bytes(codes, scales, words, steps):
    result = lanes.eight_zeros()
    for block in range(0, codes.shape[0], 256):
        sums = lanes.no_integers()
        for j in range(block, block + 256, 32):
            sums = lanes.add_pairs(
                sums, lanes.load_words(codes, j), lanes.load_words(words, j)
            )
        g = block // 32
        scale = lanes.times(lanes.load_eight(scales, g), lanes.load_eight(steps, g))
        result = lanes.multiply_add(lanes.fold(sums), scale, result)
    return lanes.total(result)


@kernel(parallel=True)
def multiply_nibbles(codes, scales, words, steps, sums, out, add):
    """The same of :class:`Nibbles`."""
    for i in prange(codes.shape[0]):
        row, scale = codes[i], scales[i]
        for s in range(words.shape[0]):
            result = _dot_nibbles(row, scale, words[s], steps[s], sums[s])
            out[s, i] = out[s, i] + result if add else result


@inner()
def _dot_nibbles(codes, scales, words, steps, offsets):
    """Codes count from 0, so 8 times the activations' sum comes off again."""
    result, excess = lanes.eight_zeros(), lanes.eight_zeros()
    for block in range(0, codes.shape[0], 128):
        sums = lanes.no_integers()
        for j in range(block, block + 128, 32):
            sums = lanes.add_pairs(
                sums, lanes.load_low_nibbles(codes, j), lanes.load_words(words, 2 * j)
            )
            sums = lanes.add_pairs(
                sums,
                lanes.load_high_nibbles(codes, j),
                lanes.load_words(words, 2 * j + 32),
            )
        g = block // 16
        scale = lanes.load_eight(scales, g)
        steps_scale = lanes.times(scale, lanes.load_eight(steps, g))
        result = lanes.multiply_add(lanes.fold(sums), steps_scale, result)
        excess = lanes.multiply_add(scale, lanes.load_eight(offsets, g), excess)
    return lanes.total(result) - np.float32(8) * lanes.total(excess)
