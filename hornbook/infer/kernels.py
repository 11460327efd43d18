"""The arithmetic of one decoding step, in Numba: loops a reader can follow.

Writing one token reads every weight once and computes next to nothing with it, so a step
is as fast as memory is. A general matrix library leaves most of that speed unused when
the batch is small; a plain loop over rows, split between threads, does not. Every
sequence's sums are added up in the same order however many sequences there are, so a
text doesn't depend on what is written beside it, not in the last bit.

Matrices are (outputs, inputs); activations (sequences, width) in float32. Reading order:
:func:`step`, then the loops below it. (All in one file: Numba's cache on disk notices a
change in a function's own file only.)
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

# Sums may be reordered to fill vector registers; NaN and infinity keep their meaning.
SUMS = {"reassoc", "contract", "nsz", "arcp"}


class Weights(NamedTuple):
    """Every layer's matrices stacked; what reads the same input is one matrix."""

    embedding: np.ndarray  # (vocab, d_model)
    attention_norm: np.ndarray  # (layers, d_model)
    query_key_value: np.ndarray  # (layers, (heads + 2 * kv heads) * d_head, d_model)
    query_norm: np.ndarray  # (layers, d_head), or (layers, 0) without
    key_norm: np.ndarray
    output: np.ndarray  # (layers, d_model, heads * d_head)
    feed_forward_norm: np.ndarray  # (layers, d_model)
    gate_up: np.ndarray  # (layers, 2 * d_ff, d_model); (layers, d_ff, d_model) ungated
    down: np.ndarray  # (layers, d_model, d_ff)
    norm: np.ndarray  # (d_model,)
    head: np.ndarray  # (vocab, d_model)
    cos: np.ndarray  # (context, d_head / 2)
    sin: np.ndarray


@njit(cache=True)
def step(w, eps, tokens, lengths, keys, values):
    """Logits (sequences, vocab) after one more token of each sequence.

    tokens   (sequences,): the new ones
    lengths  (sequences,): how many the cache holds, without them
    keys     (layers, rows, kv heads, capacity, d_head); values likewise
    """
    n, d_model = tokens.shape[0], w.embedding.shape[1]
    kv_heads, width = keys.shape[2], keys.shape[4]
    n_heads = w.output.shape[2] // width
    x = np.empty((n, d_model), np.float32)
    normed = np.empty((n, d_model), np.float32)
    heads = np.empty((n, n_heads + 2 * kv_heads, width), np.float32)
    flat_heads = heads.reshape(n, -1)
    mixed = np.empty((n, n_heads, width), np.float32)
    wide = np.empty((n, w.gate_up.shape[1]), np.float32)
    inner = np.empty((n, w.down.shape[2]), np.float32)
    for s in range(n):
        copy(w.embedding[tokens[s]], x[s])
    for layer in range(w.output.shape[0]):
        normalise_all(x, w.attention_norm[layer], eps, normed)
        multiply(w.query_key_value[layer], normed, flat_heads, False)
        place(w, layer, eps, heads, lengths, keys[layer], values[layer])
        attend(heads[:, :n_heads], keys[layer], values[layer], lengths + 1, mixed)
        multiply(w.output[layer], mixed.reshape(n, -1), x, True)
        normalise_all(x, w.feed_forward_norm[layer], eps, normed)
        multiply(w.gate_up[layer], normed, wide, False)
        if wide.shape[1] == inner.shape[1]:
            relu2(wide, inner)
        else:
            swiglu(wide, inner)
        multiply(w.down[layer], inner, x, True)
    normalise_all(x, w.norm, eps, normed)
    logits = np.empty((n, w.head.shape[0]), np.float32)
    multiply(w.head, normed, logits, False)
    return logits


@njit(cache=True)
def normalise_all(x, weight, eps, out):
    """RMSNorm of every row."""
    for s in range(x.shape[0]):
        normalise(x[s], weight, eps, out[s])


@njit(cache=True)
def place(w, layer, eps, heads, lengths, keys, values):
    """Turn queries and keys to their positions; store keys and values in the cache.

    ``heads`` (sequences, heads + 2 * kv heads, d_head) holds queries, keys and values.
    """
    kv_heads = keys.shape[1]
    n_heads = heads.shape[1] - 2 * kv_heads
    for s in range(heads.shape[0]):
        at = lengths[s]
        for h in range(n_heads + kv_heads):
            if w.query_norm.shape[1]:
                weight = w.query_norm[layer] if h < n_heads else w.key_norm[layer]
                normalise(heads[s, h], weight, eps, heads[s, h])
            rotate(heads[s, h], w.cos[at], w.sin[at])
        for h in range(kv_heads):
            keys[s, h, at] = heads[s, n_heads + h]
            values[s, h, at] = heads[s, n_heads + kv_heads + h]


def widen(x):
    """A stored number as float32. bfloat16 is a float32's upper half, kept as uint16."""
    raise NotImplementedError("only for compiled code")


@overload(widen, inline="always")
def _widen(x):
    if x == types.uint16:
        return lambda x: np.uint32(np.uint32(x) << 16).view(np.float32)
    return lambda x: x


@njit(fastmath=SUMS, inline="always")
def dot(a, b):
    """The product of two vectors; ``a`` may be in bfloat16."""
    total = np.float32(0)
    for i in range(b.shape[0]):
        total += widen(a[i]) * b[i]
    return total


@njit(parallel=True, fastmath=SUMS, cache=True)
def multiply(matrix, x, out, add):
    """``out[s, i] = matrix[i] . x[s]``, or added to ``out``.

    Threads share the rows; a row stays in the fastest cache for all sequences.
    """
    for i in prange(matrix.shape[0]):
        row = matrix[i]
        for s in range(x.shape[0]):
            total = dot(row, x[s])
            out[s, i] = out[s, i] + total if add else total


@njit(fastmath=SUMS, cache=True)
def normalise(x, weight, eps, out):
    """RMSNorm of the vector ``x`` (norm.py)."""
    scale = np.float32(1) / np.sqrt(dot(x, x) / np.float32(x.shape[0]) + eps)
    for i in range(x.shape[0]):
        out[i] = x[i] * scale * weight[i]


@njit(fastmath=SUMS, cache=True)
def rotate(x, cos, sin):
    """Turn the vector ``x`` of one head in place (position.py)."""
    half = x.shape[0] // 2
    for i in range(half):
        a, b = x[i], x[i + half]
        x[i] = a * cos[i] - b * sin[i]
        x[i + half] = b * cos[i] + a * sin[i]


@njit(parallel=True, fastmath=SUMS, cache=True)
def attend(query, keys, values, lengths, out):
    """Attention of one new token per sequence over what its row of the cache holds.

    query, out  (sequences, heads, d_head)
    keys        (sequences, kv heads, capacity, d_head), values likewise
    lengths     (sequences,): how many positions count, the new one included
    """
    n_heads, width = query.shape[1], query.shape[2]
    group = n_heads // keys.shape[1]
    scale = np.float32(1) / np.sqrt(np.float32(width))
    for task in prange(query.shape[0] * n_heads):
        s, head = task // n_heads, task % n_heads
        key, value = keys[s, head // group], values[s, head // group]
        scores = np.empty(lengths[s], np.float32)
        for t in range(lengths[s]):
            scores[t] = dot(key[t], query[s, head]) * scale
        highest, total = scores.max(), np.float32(0)
        mixed = np.zeros(width, np.float32)
        for t in range(lengths[s]):
            share = np.exp(scores[t] - highest)
            total += share
            for i in range(width):
                mixed[i] += share * value[t, i]
        out[s, head] = mixed / total


@njit(fastmath=SUMS, cache=True)
def swiglu(x, out):
    """``silu(gate) * up``, where ``x`` (sequences, 2 * width) holds both."""
    width = out.shape[1]
    for s in range(x.shape[0]):
        for i in range(width):
            gate, up = x[s, i], x[s, width + i]
            out[s, i] = gate / (np.float32(1) + np.exp(-gate)) * up


@njit(fastmath=SUMS, cache=True)
def relu2(x, out):
    """``relu(x) ** 2``."""
    for s in range(x.shape[0]):
        for i in range(out.shape[1]):
            out[s, i] = max(x[s, i], np.float32(0)) ** 2


@njit(cache=True)
def copy(x, out):
    """``out = x``, widened to float32."""
    for i in range(out.shape[0]):
        out[i] = widen(x[i])
