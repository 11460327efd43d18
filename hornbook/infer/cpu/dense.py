"""Matrices of float32 or bfloat16, and their products with activations.

A matrix is cut into panels of 32 outputs, and of a panel the 32 weights of one input lie
side by side: one load brings weights that belong to 32 sums, and every sequence's
activation is multiplied with all of them at once. Nothing is left to be added up across a
register, whatever the width, and a panel that has come from memory serves eight sequences
before it is loaded again. Each sum adds up its products in the order of the inputs, for one
sequence as for eight: a number is the same in its last bit whatever is computed beside it.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from hornbook.infer.cpu import lanes
from hornbook.infer.cpu.aligned import aligned
from hornbook.infer.cpu.jit import inner, kernel

PANEL = lanes.FLOATS  # outputs


class Dense(NamedTuple):
    """Plain numbers; bfloat16 is kept as uint16, the outputs of a panel in :func:`pairs`."""

    panels: np.ndarray  # (layers, outputs / 32, inputs * 32)


def dense_matrix(values: np.ndarray) -> Dense:
    """Pack (layers, outputs, inputs) float32, or uint16 holding bfloat16.

    Outputs are padded with zeros to whole panels.
    """
    layers, outputs, inputs = values.shape
    padded = np.pad(values, [(0, 0), (0, -outputs % PANEL), (0, 0)])
    panels = padded.reshape(layers, -1, PANEL, inputs).swapaxes(2, 3)
    panels = pairs(panels) if values.dtype == np.uint16 else panels
    return Dense(aligned(panels).reshape(layers, -1, inputs * PANEL))


def pairs(values: np.ndarray) -> np.ndarray:
    """Of each 32 columns of bfloat16, the n-th beside the (16 + n)-th, as one number."""
    blocks = values.reshape(*values.shape[:-1], -1, 2, lanes.FLOATS // 2)
    return blocks.swapaxes(-2, -1).reshape(values.shape)


@kernel(parallel=True)
def multiply_dense(panels, x, out, add):
    """``out[s] = matrix . x[s]``, or added to it, for one layer's ``panels``."""
    n = x.shape[0]
    for p in prange(panels.shape[0]):
        s = 0
        while s < n:
            if n - s > 4:
                _eight(panels[p], x, s, out, p * PANEL, add)
                s += 8
            elif n - s > 1:
                _four(panels[p], x, s, out, p * PANEL, add)
                s += 4
            else:
                _one(panels[p], x, s, out, p * PANEL, add)
                s += 1


@inner()
def _one(panel, x, s, out, i, add):
    row, a = x[s], lanes.no_floats()
    for k in range(x.shape[1]):
        lanes.fetch(panel, PANEL * k)
        a = lanes.multiply_add(_weights(panel, k), lanes.spread(row[k]), a)
    _put(out, s, i, a, add)


@inner()
def _four(panel, x, s, out, i, add):
    """Sequences ``s`` to ``s + 3``; the last one stands in for those there aren't."""
    last = x.shape[0] - 1
    p, q, r, t = x[s], x[min(s + 1, last)], x[min(s + 2, last)], x[min(s + 3, last)]
    a = b = c = d = lanes.no_floats()
    for k in range(x.shape[1]):
        w = _weights(panel, k)
        lanes.fetch(panel, PANEL * k)
        a = lanes.multiply_add(w, lanes.spread(p[k]), a)
        b = lanes.multiply_add(w, lanes.spread(q[k]), b)
        c = lanes.multiply_add(w, lanes.spread(r[k]), c)
        d = lanes.multiply_add(w, lanes.spread(t[k]), d)
    _put4(out, s, i, (a, b, c, d), add)


@inner()
def _eight(panel, x, s, out, i, add):
    """Sequences ``s`` to ``s + 7``; the last one stands in for those there aren't."""
    last = x.shape[0] - 1
    p, q, r, t = x[s], x[s + 1], x[s + 2], x[s + 3]
    u, v = x[s + 4], x[min(s + 5, last)]
    y, z = x[min(s + 6, last)], x[min(s + 7, last)]
    a = b = c = d = e = f = g = h = lanes.no_floats()
    for k in range(x.shape[1]):
        w = _weights(panel, k)
        lanes.fetch(panel, PANEL * k)
        a = lanes.multiply_add(w, lanes.spread(p[k]), a)
        b = lanes.multiply_add(w, lanes.spread(q[k]), b)
        c = lanes.multiply_add(w, lanes.spread(r[k]), c)
        d = lanes.multiply_add(w, lanes.spread(t[k]), d)
        e = lanes.multiply_add(w, lanes.spread(u[k]), e)
        f = lanes.multiply_add(w, lanes.spread(v[k]), f)
        g = lanes.multiply_add(w, lanes.spread(y[k]), g)
        h = lanes.multiply_add(w, lanes.spread(z[k]), h)
    _put4(out, s, i, (a, b, c, d), add)
    _put4(out, s + 4, i, (e, f, g, h), add)


@inner()
def _weights(panel, k):
    return lanes.load_floats(panel, PANEL * k)


@inner()
def _put4(out, s, i, sums, add):
    a, b, c, d = sums
    _put(out, s, i, a, add)
    _put(out, s + 1, i, b, add)
    _put(out, s + 2, i, c, add)
    _put(out, s + 3, i, d, add)


@inner()
def _put(out, s, i, sums, add):
    """Store a panel's sums of sequence ``s``, if there is one, from output ``i`` on."""
    if s >= out.shape[0]:
        return
    row = out[s]
    if i + PANEL <= row.shape[0]:
        if add:
            sums = lanes.plus(lanes.load_floats(row, i), sums)
        lanes.store_floats(row, i, sums)
        return
    rest = np.empty(PANEL, np.float32)
    lanes.store_floats(rest, 0, sums)
    for j in range(row.shape[0] - i):
        row[i + j] = row[i + j] + rest[j] if add else rest[j]
