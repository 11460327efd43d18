"""Norms, turns and activations as loops that walk over their numbers once.

PyTorch does them as chains of small steps, each of which reads and writes all of memory: a
norm and its gradient take some twenty. Here a row is loaded, worked on in float32 and
stored. Arrays hold float32, or the bits of bfloat16 as uint16. What is added up over rows
is added in blocks of :data:`ROWS`, so no result depends on the number of threads.
"""

from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import prange, types
from numba.extending import overload

from hornbook.core.kernel_cache import cache_folder, cached

ROWS = 32  # rows whose gradients of a norm's weight are added up together
LOG2_E, LN_2, LN_2_REST = 1.4426950408889634, 0.693145751953125, 1.4286068203094172e-06

_njit: Any = numba.njit
# Sums may be reordered to fill vector registers; NaN and infinity keep their meaning.
_parallel = _njit(
    cache=True,
    parallel=True,
    error_model="numpy",
    fastmath={"reassoc", "contract", "nsz", "arcp"},
)
_inner = _njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
_CACHE = cache_folder(Path(__file__).parent, "training")


def _kernel(function: Any) -> Any:
    return cached(_parallel, function, _CACHE)


# ---------------------------------------------------------------------- number formats


def wide(x: Any) -> Any:
    """The float32 that ``x`` is, or whose upper half it is."""
    raise NotImplementedError  # compiled code only


@overload(wide)
def _wide(x):
    if isinstance(x, types.Integer):
        return lambda x: np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)
    return lambda x: x


def narrow(x: Any, out: Any) -> Any:
    """The float32 ``x`` as ``out`` holds it: bfloat16 rounds to the nearest, even on a tie."""
    raise NotImplementedError  # compiled code only


@overload(narrow)
def _narrow(x, out):
    if not isinstance(out.dtype, types.Integer):
        return lambda x, out: x

    def rounded(x, out):
        bits = np.float32(x).view(np.uint32)
        even = (bits >> np.uint32(16)) & np.uint32(1)
        number = np.uint16((bits + np.uint32(0x7FFF) + even) >> np.uint32(16))
        return number if x == x else np.uint16(0x7FC0)

    return rounded


# ------------------------------------------------------------------------------ kernels


@_kernel
def normalize(x, weight, eps, out, scales):
    """RMSNorm of the rows of ``x``; their factors are left in ``scales``."""
    width = np.float32(x.shape[1])
    for row in prange(len(x)):
        total = np.float32(0)
        for i in range(x.shape[1]):
            number = wide(x[row, i])
            total += number * number
        scale = np.float32(1) / np.sqrt(total / width + eps)
        scales[row] = scale
        for i in range(x.shape[1]):
            out[row, i] = narrow(wide(x[row, i]) * scale * weight[i], out)


@_kernel
def normalize_backward(x, weight, scales, gradient, out, parts):
    """The gradient of ``x`` into ``out``, that of ``weight`` by blocks of rows in ``parts``."""
    width = np.float32(x.shape[1])
    for part in prange(len(parts)):
        parts[part] = 0
        for row in range(part * ROWS, min((part + 1) * ROWS, len(x))):
            scale, along = scales[row], np.float32(0)
            for i in range(x.shape[1]):
                normed = wide(x[row, i]) * scale
                mine = wide(gradient[row, i])
                parts[part, i] += mine * normed
                along += mine * weight[i] * normed
            along /= width
            for i in range(x.shape[1]):
                normed = wide(x[row, i]) * scale
                mine = wide(gradient[row, i]) * weight[i]
                out[row, i] = narrow((mine - normed * along) * scale, out)


@_kernel
def turn(x, cos, sin, out):
    """RoPE: ``x`` (batch, time, heads, width) into ``out`` (batch, heads, time, width)."""
    batch, time, heads, width = x.shape
    half = width // 2
    for at in prange(batch * time):
        b, t = at // time, at % time
        table = min(b, len(cos) - 1)
        for h in range(heads):
            for i in range(half):
                c, s = cos[table, t, i], sin[table, t, i]
                first, second = wide(x[b, t, h, i]), wide(x[b, t, h, i + half])
                out[b, h, t, i] = narrow(first * c - second * s, out)
                out[b, h, t, i + half] = narrow(second * c + first * s, out)


@_kernel
def turn_back(x, cos, sin, out):
    """The other way round: (batch, heads, time, width) to (batch, time, heads, width)."""
    batch, heads, time, width = x.shape
    half = width // 2
    for at in prange(batch * time):
        b, t = at // time, at % time
        table = min(b, len(cos) - 1)
        for h in range(heads):
            for i in range(half):
                c, s = cos[table, t, i], sin[table, t, i]
                first, second = wide(x[b, h, t, i]), wide(x[b, h, t, i + half])
                out[b, t, h, i] = narrow(first * c + second * s, out)
                out[b, t, h, i + half] = narrow(second * c - first * s, out)


@_kernel
def square_relu(x, out):
    """ReLU², number by number."""
    for row in prange(len(x)):
        for i in range(x.shape[1]):
            number = max(wide(x[row, i]), np.float32(0))
            out[row, i] = narrow(number * number, out)


@_kernel
def square_relu_backward(x, gradient, out):
    """The gradient of ``x``: 2·max(x, 0) times what came in."""
    for row in prange(len(x)):
        for i in range(x.shape[1]):
            slope = np.float32(2) * max(wide(x[row, i]), np.float32(0))
            out[row, i] = narrow(slope * wide(gradient[row, i]), out)


@_kernel
def swish_gate(gate, up, out):
    """SiLU of ``gate`` times ``up``, number by number."""
    for row in prange(len(gate)):
        for i in range(gate.shape[1]):
            x = wide(gate[row, i])
            out[row, i] = narrow(x * sigmoid(x) * wide(up[row, i]), out)


@_kernel
def swish_gate_backward(gate, up, gradient, d_gate, d_up):
    """The gradients of ``gate`` and ``up``."""
    for row in prange(len(gate)):
        for i in range(gate.shape[1]):
            x, mine = wide(gate[row, i]), wide(gradient[row, i])
            share = sigmoid(x)
            slope = share * (np.float32(1) + x * (np.float32(1) - share))
            d_gate[row, i] = narrow(mine * wide(up[row, i]) * slope, d_gate)
            d_up[row, i] = narrow(mine * x * share, d_up)


@_inner
def sigmoid(x):
    """1 / (1 + e^-x), in arithmetic that fills vector registers.

    e^y is 2^n · e^r with |r| <= ln(2) / 2, and e^r its Taylor series to the seventh power.
    """
    y = min(max(-x, np.float32(-87)), np.float32(88))
    n = np.floor(y * np.float32(LOG2_E) + np.float32(0.5))
    r = (y - n * np.float32(LN_2)) - n * np.float32(LN_2_REST)
    e = np.float32(1 / 5040)
    for factor in (720, 120, 24, 6, 2, 1, 1):
        e = e * r + np.float32(1 / factor)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(1) / (np.float32(1) + e * power)
