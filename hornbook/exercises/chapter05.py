"""Exercises of chapter 5: attention."""

import torch
from torch import Tensor

from hornbook.exercises.judge import expect, expect_close
from hornbook.model.attention import attend_plainly


def weights(query: Tensor, key: Tensor) -> Tensor:
    """Return the causal attention weights of one head.

    `query` and `key` are (time, d_head). The result is (time, time): scores divided by the
    root of `d_head`, everything after a token hidden, and a softmax over each row.
    """
    raise NotImplementedError


def check_weights(answer) -> None:
    """Rows that sum to one, a hidden future, the right values, and no overflow."""
    torch.manual_seed(0)
    query, key = torch.randn(2, 7, 16)
    got = answer(query.clone(), key.clone())
    expect(tuple(got.shape) == (7, 7), "The result should be (time, time).")
    expect_close(got.sum(-1), torch.ones(7), "The sums of the rows")
    expect_close(got.triu(1), torch.zeros(7, 7), "The weights of later tokens")
    unit = torch.eye(7)[None, None]
    want = attend_plainly(query[None, None], key[None, None], unit, None)[0, 0]
    expect_close(got, want, "The weights")
    huge = answer(query * 1e4, key * 1e4)
    expect(
        bool(huge.isfinite().all()),
        "Large scores overflow: take the row's maximum away.",
    )


def window_mask(time: int, window: int) -> Tensor:
    """Return a mask, (time, time) bool, that is true where a token may look.

    A token sees itself and the `window - 1` tokens before it; a `window` of 0 means all.
    """
    raise NotImplementedError


def check_window_mask(answer) -> None:
    """Against the definition, place by place."""
    for time, window in ((6, 3), (6, 0), (5, 1), (4, 9)):
        got = answer(time, window)
        expect(got.dtype == torch.bool, "The mask should be of bools.")
        expect(tuple(got.shape) == (time, time), "The mask should be (time, time).")
        for mine in range(time):
            for place in range(time):
                near = window == 0 or mine - place < window
                expect(
                    bool(got[mine, place]) == (place <= mine and near),
                    f"With {time} tokens and a window of {window}, "
                    f"row {mine} is wrong at place {place}.",
                )


def cache_bytes(
    n_layers: int, n_kv_heads: int, d_head: int, tokens: int, bytes_each: int
) -> int:
    """Return how many bytes the cache of a conversation of `tokens` tokens takes.

    Every layer keeps a key and a value of each of its key-value heads.
    """
    raise NotImplementedError


def check_cache_bytes(answer) -> None:
    """Three shapes whose products differ in every factor."""
    for shape in ((12, 12, 64, 1024, 2), (32, 8, 128, 8192, 2), (3, 1, 5, 7, 4)):
        want = 2
        for factor in shape:
            want *= factor
        got = answer(*shape)
        expect(got == want, f"For {shape} it should be {want:,}, not {got:,}.")


def merge(first: tuple, second: tuple) -> tuple:
    """Join the attention over two blocks of keys without looking at the scores again.

    A block of keys gave, for each of `time` queries, the triple (`top`, `total`, `mixed`):
    the largest score (time,), the sum of `exp(score - top)` (time,), and the sum of
    `exp(score - top)` times the value (time, width). Return the triple of both blocks
    together. This is the step that FlashAttention repeats.
    """
    raise NotImplementedError


def check_merge(answer) -> None:
    """Two blocks merged against one pass over both, with scores that would overflow."""
    torch.manual_seed(1)
    scores, values = torch.randn(5, 12) * 300, torch.randn(12, 4)
    got = answer(
        _partial(scores[:, :8], values[:8]), _partial(scores[:, 8:], values[8:])
    )
    want = _partial(scores, values)
    expect(len(got) == 3, "The result should be a triple, like its arguments.")
    names = ("top", "total", "mixed")
    for name, mine, right in zip(names, got, want, strict=True):
        expect(
            bool(torch.as_tensor(mine).isfinite().all()),
            f"`{name}` overflows: only differences from the larger `top` may be raised to e.",
        )
        expect_close(mine, right, f"`{name}`", within=1e-3)


def _partial(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    top = scores.max(-1).values
    shares = (scores - top[:, None]).exp()
    return top, shares.sum(-1), shares @ values
