"""Weight matrices as the compiled step reads them, and their products with activations.

Three formats, each stacked over the layers, rows padded with zeros to a whole number of
vectors: float32 or bfloat16 (:class:`Dense`), 8 and 4 bits (:class:`Bytes`,
:class:`Nibbles`). The last two keep integers and one float16 scale for every 32 columns.

Their products are sums of integers: activations become integers of two bytes first, by
their largest value in the same 32 columns, which loses nothing that matters (one part in
65,000). Processors multiply bytes without a sign by bytes with one and add up four
products at once, so codes are stored as counts from 0 and what that adds is taken off
again. Sixteen groups of 32 are worked on side by side, so the integers are stored in the
order in which they are read: see :func:`interleaved`. Beside weights of 4 bits one byte
of an activation is enough: its rounding is a sixteenth of theirs.
"""

from typing import NamedTuple

import numpy as np
from numba import prange
from numba.extending import overload

from hornbook.infer.cpu import lanes
from hornbook.infer.cpu.jit import inner, kernel

GROUP = 32  # columns that share a scale
LARGEST = 127 * 256  # of an activation's integer: its upper byte is -127 to 127
WIDE, NARROW = 16 * GROUP, 8 * GROUP  # columns that are worked on side by side


class Dense(NamedTuple):
    """Plain numbers; bfloat16 is kept as uint16, in :func:`pairs`."""

    values: np.ndarray  # (layers, outputs, inputs)


class Bytes(NamedTuple):
    """``weight = scale * (code - 128)``, codes from 1 to 255."""

    codes: np.ndarray  # (layers, outputs, inputs) uint8, interleaved
    scales: np.ndarray  # (layers, outputs, inputs / 32) uint16: float16


class Nibbles(NamedTuple):
    """``weight = scale * (code - 8)``, codes from 0 to 15, two to a byte."""

    codes: np.ndarray  # (layers, outputs, inputs / 2) uint8, interleaved
    scales: np.ndarray  # (layers, outputs, inputs / 32) uint16: float16


Matrix = Dense | Bytes | Nibbles


def interleaved(columns: np.ndarray) -> np.ndarray:
    """Reorder the last axis, a multiple of 256 long, the way the kernels read it.

    Of each block of sixteen groups: the first four columns of every group, then the next
    four of every group, and so on, so that a vector of 16 sums belongs to the 16 groups.
    If eight groups are left, each has two of the sums.
    """
    whole = columns.shape[-1] // WIDE * WIDE
    parts = [(columns[..., :whole], WIDE), (columns[..., whole:], NARROW)]
    return aligned(
        np.concatenate([_interleaved(part, width) for part, width in parts], axis=-1)
    )


def _interleaved(columns: np.ndarray, width: int) -> np.ndarray:
    shape = columns.shape
    blocks = columns.reshape(*shape[:-1], -1, width // GROUP, GROUP // 4, 4)
    return blocks.swapaxes(-3, -2).reshape(shape)


def pairs(values: np.ndarray) -> np.ndarray:
    """Of each 32 columns of bfloat16, the n-th beside the (16 + n)-th, as one number."""
    blocks = values.reshape(*values.shape[:-1], -1, 2, lanes.FLOATS // 2)
    return blocks.swapaxes(-2, -1).reshape(values.shape)


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that begins where a vector register's worth of memory does.

    It is NumPy's own memory, for which the system is asked for large pages.
    """
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def bytes_matrix(codes: np.ndarray, scales: np.ndarray) -> Bytes:
    """Pack codes (layers, outputs, inputs) int8 and scales (..., inputs / 32) float16."""
    codes, scales = _whole_blocks(codes, scales)
    counts = interleaved(codes.view(np.uint8) ^ np.uint8(128))
    return Bytes(counts, aligned(scales.view(np.uint16)))


def nibbles_matrix(codes: np.ndarray, scales: np.ndarray) -> Nibbles:
    """The same of 4-bit codes (layers, outputs, inputs) int8 from -8 to 7."""
    codes, scales = _whole_blocks(codes, scales)
    counts = interleaved((codes + 8).view(np.uint8))
    both = counts.reshape(*codes.shape[:-1], -1, 2, 64)
    packed = both[..., 0, :] | (both[..., 1, :] << 4)
    packed = aligned(packed.reshape(*codes.shape[:-1], -1))
    return Nibbles(packed, aligned(scales.view(np.uint16)))


def dense_matrix(values: np.ndarray) -> Dense:
    """Pack (layers, outputs, inputs) float32, or uint16 holding bfloat16."""
    padded = _padded(values, lanes.FLOATS)
    return Dense(aligned(pairs(padded) if values.dtype == np.uint16 else padded))


def _whole_blocks(
    codes: np.ndarray, scales: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return _padded(codes, NARROW), _padded(scales, NARROW // GROUP)


def _padded(array: np.ndarray, multiple: int) -> np.ndarray:
    missing = -array.shape[-1] % multiple
    if not missing:
        return np.ascontiguousarray(array)
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])


def multiply(
    matrix: Matrix, layer: int, x: np.ndarray, out: np.ndarray, add: bool
) -> None:
    """``out[s, i] = matrix[layer, i] . x[s]``, or added to ``out``; compiled code only.

    ``x`` (sequences, at least inputs) float32. Threads share the rows of the matrix; a row
    stays in the fastest cache for all sequences.
    """
    raise NotImplementedError("only for compiled code")


@overload(multiply, jit_options={"error_model": "numpy"}, strict=False)
def _multiply(matrix, layer, x, out, add):
    if matrix.instance_class is Dense:
        return lambda matrix, layer, x, out, add: _multiply_dense(
            matrix.values[layer], _wide(x, matrix.values.shape[2]), out, add
        )
    if matrix.instance_class is Bytes:

        def eight_bits(matrix, layer, x, out, add):
            codes, scales = matrix.codes[layer], matrix.scales[layer]
            high, low, steps, sums = quantize(x, scales.shape[1], 128, LARGEST)
            _multiply_bytes(codes, scales, high, low, steps, sums, out, add)

        return eight_bits

    def four_bits(matrix, layer, x, out, add):
        codes, scales = matrix.codes[layer], matrix.scales[layer]
        words, _, steps, sums = quantize(x, scales.shape[1], 8, 127)
        _multiply_nibbles(codes, scales, words, steps, sums, out, add)

    return four_bits


@inner()
def _wide(x, width):
    """``x`` with zeros up to ``width`` columns."""
    if x.shape[1] == width:
        return x
    out = np.zeros((x.shape[0], width), np.float32)
    out[:, : x.shape[1]] = x
    return out


@inner(forceinline=True)
def _dot(row, x):
    sums = lanes.no_floats()
    for j in range(0, row.shape[0], 32):
        lanes.fetch(row, j)
        sums = lanes.multiply_add(
            lanes.load_floats(row, j), lanes.load_floats(x, j), sums
        )
    return lanes.total(sums)


@inner(forceinline=True)
def _dot4(row, a, b, c, d):
    """Four products with one row, which is read (and widened) once."""
    p, q, r, s = (
        lanes.no_floats(),
        lanes.no_floats(),
        lanes.no_floats(),
        lanes.no_floats(),
    )
    for j in range(0, row.shape[0], 32):
        lanes.fetch(row, j)
        weights = lanes.load_floats(row, j)
        p = lanes.multiply_add(weights, lanes.load_floats(a, j), p)
        q = lanes.multiply_add(weights, lanes.load_floats(b, j), q)
        r = lanes.multiply_add(weights, lanes.load_floats(c, j), r)
        s = lanes.multiply_add(weights, lanes.load_floats(d, j), s)
    return lanes.total(p), lanes.total(q), lanes.total(r), lanes.total(s)


@kernel(parallel=True)
def _multiply_dense(matrix, x, out, add):
    fours = x.shape[0] // 4 * 4
    for i in prange(matrix.shape[0]):
        row = matrix[i]
        for s in range(0, fours, 4):
            a, b, c, d = _dot4(row, x[s], x[s + 1], x[s + 2], x[s + 3])
            if add:
                out[s, i] += a
                out[s + 1, i] += b
                out[s + 2, i] += c
                out[s + 3, i] += d
            else:
                out[s, i], out[s + 1, i], out[s + 2, i], out[s + 3, i] = a, b, c, d
        for s in range(fours, x.shape[0]):
            a = _dot(row, x[s])
            out[s, i] = out[s, i] + a if add else a


@inner()
def quantize(x, groups, offset, most):
    """``x`` (sequences, width) as integers up to ``most``, and the steps they count.

    An integer beyond a byte is ``256 * high + low``; of one byte, ``high`` alone. Both are
    interleaved, (sequences, groups * 32) int8. The last result is each group's sum times
    ``offset``: by so much are codes stored too large. Steps and sums (sequences, groups).
    """
    n, width = x.shape
    high = np.zeros((n, groups * GROUP), np.int8)
    low = np.zeros((n, groups * GROUP), np.int8)
    steps = np.zeros((n, groups), np.float32)
    sums = np.zeros((n, groups), np.int32)
    for s in range(n):
        for g in range(-(-width // GROUP)):
            first, last = g * GROUP, min(width, (g + 1) * GROUP)
            largest = np.float32(0)
            for i in range(first, last):
                largest = max(largest, abs(x[s, i]))
            if largest == 0:
                continue
            step = largest / np.float32(most)
            inverse = np.float32(1) / step
            side = 16 if g < groups // 16 * 16 else 8  # groups side by side
            start = g // side * side * GROUP + g % side * 4  # see interleaved
            total = np.int32(0)
            for i in range(first, last):
                word = np.int32(np.rint(x[s, i] * inverse))
                upper = (word + 128) >> 8 if most > 127 else word
                at = start + (i - first) // 4 * side * 4 + (i - first) % 4
                high[s, at], low[s, at] = upper, word - 256 * upper
                total += word
            steps[s, g] = step
            sums[s, g] = total * offset
    return high, low, steps, sums


@kernel(parallel=True)
def _multiply_bytes(codes, scales, high, low, steps, sums, out, add):
    for i in prange(codes.shape[0]):
        row, scale = codes[i], scales[i]
        for s in range(high.shape[0]):
            result = _dot_bytes(row, scale, high[s], low[s], steps[s], sums[s])
            out[s, i] = out[s, i] + result if add else result


@inner(forceinline=True)
def _dot_bytes(codes, scales, high, low, steps, offsets):
    result, whole = lanes.sixteen_zeros(), codes.shape[0] // WIDE * WIDE
    for block in range(0, whole, WIDE):
        sums = _sum_bytes(codes, high, low, block, block + WIDE)
        result = _add_wide(result, sums, scales, steps, offsets, block // GROUP)
    half = lanes.halved(result)
    if whole < codes.shape[0]:
        sums = _sum_bytes(codes, high, low, whole, whole + NARROW)
        half = _add_narrow(half, sums, scales, steps, offsets, whole // GROUP)
    return lanes.total(half)


@inner(forceinline=True)
def _sum_bytes(codes, high, low, start, stop):
    a, b = lanes.no_integers(), lanes.no_integers()
    for j in range(start, stop, 64):
        lanes.fetch(codes, j)
        weights = lanes.load_bytes(codes, j)
        a = lanes.add_fours(a, weights, lanes.load_bytes(high, j))
        b = lanes.add_fours(b, weights, lanes.load_bytes(low, j))
    return lanes.joined(a, b)


@inner(forceinline=True)
def _add_wide(result, sums, scales, steps, offsets, g):
    """``result`` plus sixteen groups from the ``g``-th on, scaled."""
    scale = lanes.times(lanes.load_sixteen(scales, g), lanes.load_sixteen(steps, g))
    return lanes.multiply_add(lanes.less(sums, offsets, g), scale, result)


@inner(forceinline=True)
def _add_narrow(result, sums, scales, steps, offsets, g):
    """``result`` plus eight groups from the ``g``-th on, scaled."""
    scale = lanes.times(lanes.load_eight(scales, g), lanes.load_eight(steps, g))
    exact = lanes.less(lanes.halved(sums), offsets, g)
    return lanes.multiply_add(exact, scale, result)


@kernel(parallel=True)
def _multiply_nibbles(codes, scales, words, steps, sums, out, add):
    for i in prange(codes.shape[0]):
        row, scale = codes[i], scales[i]
        for s in range(words.shape[0]):
            result = _dot_nibbles(row, scale, words[s], steps[s], sums[s])
            out[s, i] = out[s, i] + result if add else result


@inner(forceinline=True)
def _dot_nibbles(codes, scales, words, steps, offsets):
    result, whole = lanes.sixteen_zeros(), words.shape[0] // WIDE * WIDE
    for block in range(0, whole, WIDE):
        sums = _sum_nibbles(codes, words, block, block + WIDE)
        result = _add_wide(result, sums, scales, steps, offsets, block // GROUP)
    half = lanes.halved(result)
    if whole < words.shape[0]:
        sums = _sum_nibbles(codes, words, whole, whole + NARROW)
        half = _add_narrow(half, sums, scales, steps, offsets, whole // GROUP)
    return lanes.total(half)


@inner(forceinline=True)
def _sum_nibbles(codes, words, start, stop):
    a, b = lanes.no_integers(), lanes.no_integers()
    for j in range(start, stop, 128):
        lanes.fetch(codes, j // 2)
        both = lanes.load_bytes(codes, j // 2)
        a = lanes.add_fours(a, lanes.low_nibbles(both), lanes.load_bytes(words, j))
        b = lanes.add_fours(
            b, lanes.high_nibbles(both), lanes.load_bytes(words, j + 64)
        )
    return lanes.plus(a, b)
