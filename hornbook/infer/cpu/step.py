"""The arithmetic of one decoding step, in Numba: loops a reader can follow.

Writing one token reads every weight once and computes next to nothing with it, so a step
is as fast as memory is. A general matrix library leaves most of that speed unused when
the batch is small; a plain loop over rows, split between threads, does not. Every
sequence's sums are added up in the same order however many sequences there are, so a
text doesn't depend on what is written beside it, not in the last bit.

Activations are (tokens, width) in float32. Reading order: :func:`step`, the loops below
it, then matrices.py.
"""

from typing import NamedTuple

import numpy as np
from numba import prange, types
from numba.extending import overload

from hornbook.infer.cpu import lanes
from hornbook.infer.cpu.attention import attend
from hornbook.infer.cpu.exp import exp
from hornbook.infer.cpu.jit import SUMS, inner, kernel
from hornbook.infer.cpu.matrices import Matrix, multiply


class Weights(NamedTuple):
    """Every layer's matrices stacked; what reads the same input is one matrix."""

    embedding: np.ndarray  # (vocab, d_model)
    attention_norm: np.ndarray  # (layers, d_model)
    query_key_value: Matrix  # (layers, (heads + 2 * kv heads) * d_head, d_model)
    query_norm: np.ndarray  # (layers, d_head), or (layers, 0) without
    key_norm: np.ndarray
    output: Matrix  # (layers, d_model, heads * d_head)
    feed_forward_norm: np.ndarray  # (layers, d_model)
    gate_up: Matrix  # (layers, 2 * d_ff, d_model); (layers, d_ff, d_model) ungated
    down: Matrix  # (layers, d_model, d_ff)
    norm: np.ndarray  # (d_model,)
    head: Matrix  # (1, vocab, d_model)
    cos: np.ndarray  # (context, d_head / 2)
    sin: np.ndarray
    windows: np.ndarray  # (layers,): how many tokens a layer sees, 0 for all


class Shape(NamedTuple):
    """The numbers that the weights don't tell."""

    n_heads: int
    d_ff: int
    vocab_size: int
    gated: bool
    eps: float


@kernel()
def step(w, shape, tokens, places, tables, keys, values, asked):
    """Logits (asked, vocab) after some of ``tokens``.

    tokens  (tokens,): the new ones, of one or of many sequences
    places  (tokens,): where in its sequence each stands
    tables  (tokens, pages): in which page of the cache the sequence's tokens are
    keys    (layers, pages, kv heads, page size, d_head); values likewise
    asked   after which of the tokens, by their numbers
    """
    n, d_model = tokens.shape[0], w.norm.shape[0]
    kv_heads, width = keys.shape[2], keys.shape[4]
    x = np.empty((n, d_model), np.float32)
    normed = np.empty((n, d_model), np.float32)
    heads = np.empty((n, shape.n_heads + 2 * kv_heads, width), np.float32)
    flat_heads = heads.reshape(n, -1)
    mixed = np.empty((n, shape.n_heads, width), np.float32)
    wide = np.empty((n, shape.d_ff * (2 if shape.gated else 1)), np.float32)
    within = np.empty((n, shape.d_ff), np.float32)
    eps = np.float32(shape.eps)
    for s in range(n):
        for i in range(d_model):
            x[s, i] = lanes.widen(w.embedding[tokens[s], i])
    for layer in range(w.attention_norm.shape[0]):
        normalise_all(x, w.attention_norm[layer], eps, normed)
        multiply(w.query_key_value, layer, normed, flat_heads, False)
        place(w, layer, eps, heads, places, tables, keys[layer], values[layer])
        attend(
            heads,
            keys[layer],
            values[layer],
            places,
            tables,
            w.windows[layer],
            mixed,
        )
        multiply(w.output, layer, mixed.reshape(n, -1), x, True)
        normalise_all(x, w.feed_forward_norm[layer], eps, normed)
        multiply(w.gate_up, layer, normed, wide, False)
        if shape.gated:
            swiglu(wide, within)
        else:
            relu2(wide, within)
        multiply(w.down, layer, within, x, True)
    last = np.empty((len(asked), d_model), np.float32)
    normalise_all(x[asked], w.norm, eps, last)
    logits = np.empty((len(asked), shape.vocab_size), np.float32)
    multiply(w.head, 0, last, logits, False)
    return logits


@inner()
def normalise_all(x, weight, eps, out):
    """RMSNorm of every row."""
    for s in range(x.shape[0]):
        normalise(x[s], weight, eps, out[s])


@inner()
def place(w, layer, eps, heads, places, tables, keys, values):
    """Turn queries and keys to their positions; store keys and values in the cache.

    ``heads`` (tokens, heads + 2 * kv heads, d_head) holds queries, keys and values.
    """
    kv_heads, page_size = keys.shape[1], keys.shape[2]
    n_heads = heads.shape[1] - 2 * kv_heads
    for s in range(heads.shape[0]):
        at = places[s]
        page, slot = tables[s, at // page_size], at % page_size
        for h in range(n_heads + kv_heads):
            if w.query_norm.shape[1]:
                weight = w.query_norm[layer] if h < n_heads else w.key_norm[layer]
                normalise(heads[s, h], weight, eps, heads[s, h])
            rotate(heads[s, h], w.cos[at], w.sin[at])
        for h in range(kv_heads):
            store(heads[s, n_heads + h], keys[page, h, slot])
            store(heads[s, n_heads + kv_heads + h], values[page, h, slot])


def store(x, out):
    """``out = x``, in float32 or rounded to bfloat16 (to even, as PyTorch does)."""
    raise NotImplementedError("only for compiled code")


@overload(store)
def _store(x, out):
    if out.dtype != types.uint16:

        def plainly(x, out):
            out[:] = x

        return plainly

    def rounded(x, out):
        bits = x.view(np.uint32)
        for i in range(bits.shape[0]):
            odd = (bits[i] >> np.uint32(16)) & np.uint32(1)
            out[i] = (bits[i] + np.uint32(0x7FFF) + odd) >> np.uint32(16)

    return rounded


@inner(fastmath=SUMS)
def dot(a, b):
    """The product of two vectors; ``a`` may be in bfloat16."""
    total = np.float32(0)
    for i in range(b.shape[0]):
        total += lanes.widen(a[i]) * b[i]
    return total


@inner(fastmath=SUMS)
def normalise(x, weight, eps, out):
    """RMSNorm of the vector ``x`` (norm.py)."""
    scale = np.float32(1) / np.sqrt(dot(x, x) / np.float32(x.shape[0]) + eps)
    for i in range(x.shape[0]):
        out[i] = x[i] * scale * weight[i]


@inner(fastmath=SUMS)
def rotate(x, cos, sin):
    """Turn the vector ``x`` of one head in place (position.py)."""
    half = x.shape[0] // 2
    for i in range(half):
        a, b = x[i], x[i + half]
        x[i] = a * cos[i] - b * sin[i]
        x[i + half] = b * cos[i] + a * sin[i]


@kernel(parallel=True, fastmath=SUMS)
def swiglu(x, out):
    """``silu(gate) * up``, where ``x`` (tokens, 2 * width) holds both."""
    width = out.shape[1]
    for s in range(x.shape[0]):
        for i in prange(width):
            gate, up = x[s, i], x[s, width + i]
            out[s, i] = gate / (np.float32(1) + exp(-gate)) * up


@inner(fastmath=SUMS)
def relu2(x, out):
    """``relu(x) ** 2``."""
    for s in range(x.shape[0]):
        for i in range(out.shape[1]):
            out[s, i] = max(x[s, i], np.float32(0)) ** 2
