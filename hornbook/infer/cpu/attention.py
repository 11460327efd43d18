"""Attention over the pages of the cache."""

import numpy as np
from numba import prange

from hornbook.infer.cpu import lanes
from hornbook.infer.cpu.exp import exp
from hornbook.infer.cpu.jit import SUMS, inner, kernel


@kernel(parallel=True, fastmath=SUMS)
def attend(query, keys, values, places, tables, window, out):
    """Attention of each new token over what its sequence's pages hold, itself included.

    query   (tokens, at least heads, d_head); whole, as a slice of it would be read slowly
    keys    (pages, kv heads, page size, d_head), values likewise
    window  how many tokens are seen, the newest; 0 for all
    out     (tokens, heads, d_head)
    """
    n_heads, page_size = out.shape[1], keys.shape[2]
    group = n_heads // keys.shape[1]
    for task in prange(query.shape[0] * n_heads):
        s, head = task // n_heads, task % n_heads
        last = places[s] + 1
        first = max(0, last - window) if window else 0
        begin = first // page_size  # the first page that is seen
        table = tables[s, begin : (last - 1) // page_size + 1]
        first, last = first - begin * page_size, last - begin * page_size
        shares = np.empty(-(-last // lanes.FLOATS) * lanes.FLOATS, np.float32)
        match(query[s, head], keys, head // group, table, shares)
        shares[:first] = -np.inf
        shares[last:] = -np.inf
        total = soften(shares)
        mix(shares, values, head // group, table, first, last, out[s, head])
        for i in range(out.shape[2]):
            out[s, head, i] /= total


@inner(fastmath=SUMS)
def match(query, keys, head, table, scores):
    """``scores[t]``: how well the key in place ``t`` of the pages fits the query.

    Four keys at a time, whose sums across the register are then taken together.
    """
    width, page_size = keys.shape[3], keys.shape[2]
    scale = np.float32(1) / np.sqrt(np.float32(width))
    whole = width // lanes.FLOATS * lanes.FLOATS  # what fills registers
    for page in range(len(table)):
        block = keys[table[page], head]
        for slot in range(0, page_size, 4):
            a = b = c = d = lanes.no_floats()
            for i in range(0, whole, lanes.FLOATS):
                q = lanes.load_row(query, i)
                a = lanes.multiply_add(lanes.load_row(block[slot], i), q, a)
                b = lanes.multiply_add(lanes.load_row(block[slot + 1], i), q, b)
                c = lanes.multiply_add(lanes.load_row(block[slot + 2], i), q, c)
                d = lanes.multiply_add(lanes.load_row(block[slot + 3], i), q, d)
            start = page * page_size + slot
            lanes.store_totals(scores, start, a, b, c, d)
            for j in range(4):
                for i in range(whole, width):
                    scores[start + j] += lanes.widen(block[slot + j, i]) * query[i]
                scores[start + j] *= scale


@inner(fastmath=SUMS)
def soften(scores):
    """``exp`` of the scores, less the highest, in place; returns their sum."""
    tops = lanes.load_floats(scores, 0)
    for t in range(lanes.FLOATS, len(scores), lanes.FLOATS):
        tops = lanes.larger(tops, lanes.load_floats(scores, t))
    highest, total = lanes.largest(tops), np.float32(0)
    for t in range(len(scores)):
        scores[t] = exp(scores[t] - highest)
        total += scores[t]
    return total


@inner(fastmath=SUMS)
def mix(shares, values, head, table, first, last, out):
    """``out``: the sum of the values in the places ``first`` to ``last``, by their shares."""
    width, page_size = values.shape[3], values.shape[2]
    whole = width // lanes.FLOATS * lanes.FLOATS
    for i in range(0, whole, 2 * lanes.FLOATS):
        left = right = lanes.no_floats()
        beside = min(i + lanes.FLOATS, whole - lanes.FLOATS)
        for page in range(len(table)):
            block, start = values[table[page], head], page * page_size
            for slot in range(max(0, first - start), min(page_size, last - start)):
                share = lanes.spread(shares[start + slot])
                value = block[slot]
                left = lanes.multiply_add(share, lanes.load_row(value, i), left)
                right = lanes.multiply_add(share, lanes.load_row(value, beside), right)
        lanes.store_floats(out, i, left)
        lanes.store_floats(out, beside, right)
    for i in range(whole, width):
        out[i] = 0
        for t in range(first, last):
            value = values[table[t // page_size], head, t % page_size, i]
            out[i] += shares[t] * lanes.widen(value)
