"""Right answers to the exercises of chapter 5, and a usual mistake for each."""

import torch


def weights(query, key):
    scores = query @ key.T / query.shape[-1] ** 0.5
    hidden = torch.ones_like(scores).triu(1).bool()
    return scores.masked_fill(hidden, float("-inf")).softmax(-1)


def window_mask(time, window):
    places = torch.arange(time)
    distance = places[:, None] - places
    return (distance >= 0) & ((distance < window) if window else True)


def cache_bytes(n_layers, n_kv_heads, d_head, tokens, bytes_each):
    return 2 * n_layers * n_kv_heads * d_head * tokens * bytes_each


def merge(first, second):
    (top, total, mixed), (other_top, other_total, other_mixed) = first, second
    both = torch.maximum(top, other_top)
    a, b = (top - both).exp(), (other_top - both).exp()
    return (
        both,
        a * total + b * other_total,
        a[:, None] * mixed + b[:, None] * other_mixed,
    )


def wrong_weights(query, key):
    shares = (query @ key.T / query.shape[-1] ** 0.5).exp().tril()
    return shares / shares.sum(-1, keepdim=True)  # overflows


def wrong_window_mask(time, window):
    places = torch.arange(time)
    distance = places[:, None] - places
    return (distance >= 0) & ((distance <= window) if window else True)  # one too many


def wrong_cache_bytes(n_layers, n_kv_heads, d_head, tokens, bytes_each):
    return n_layers * n_kv_heads * d_head * tokens * bytes_each  # keys alone


def wrong_merge(first, second):
    (top, total, mixed), (other_top, other_total, other_mixed) = first, second
    a, b = top.exp(), other_top.exp()
    both = torch.maximum(top, other_top)
    return (
        both,
        a * total + b * other_total,
        a[:, None] * mixed + b[:, None] * other_mixed,
    )
