"""Exercises of chapter 4: embeddings and positions."""

import torch
from torch import Tensor

from hornbook.exercises.judge import expect, expect_close
from hornbook.model.position import alibi_slopes
from hornbook.model.rope import frequencies, ntk_base, rotate


def embedding_gradient(tokens: Tensor, gradient: Tensor, vocab_size: int) -> Tensor:
    """Return the gradient of the embedding matrix.

    `tokens` (time,) were looked up; `gradient` (time, width) is that of what came out. The
    result is (vocab_size, width).
    """
    raise NotImplementedError


def check_embedding_gradient(answer) -> None:
    """Against autograd, with a token that occurs three times."""
    torch.manual_seed(0)
    tokens, gradient = torch.tensor([2, 0, 2, 5, 2]), torch.randn(5, 3)
    table = torch.zeros(7, 3, requires_grad=True)
    table[tokens].backward(gradient)
    expect_close(answer(tokens, gradient, 7), table.grad, "The gradient")


def speeds(width: int, base: float) -> Tensor:
    """Return the radians per token of each pair of a head, (width / 2,), fastest first."""
    raise NotImplementedError


def check_speeds(answer) -> None:
    """Three widths and bases."""
    for width, base in ((8, 10_000.0), (64, 500_000.0), (2, 100.0)):
        want, _ = frequencies(width, base, None)
        expect_close(answer(width, base), want, f"Width {width}, base {base:,.0f}")


def turn(x: Tensor, places: Tensor, base: float) -> Tensor:
    """Return `x` (time, width) with every pair turned by the angle of its place.

    Feature `i` is paired with feature `i + width / 2`.
    """
    raise NotImplementedError


def check_turn(answer) -> None:
    """Against the program's own, lengths, and place zero."""
    torch.manual_seed(1)
    x, places = torch.randn(4, 16), torch.tensor([0, 1, 7, 50])
    angles = torch.outer(places.double(), frequencies(16, 10_000.0, None)[0])
    want = rotate(x[None, None], (angles.cos().float(), angles.sin().float()))[0, 0]
    got = answer(x.clone(), places, 10_000.0)
    expect_close(got[0], x[0], "Place 0, where nothing turns")
    expect_close(got.norm(dim=-1), x.norm(dim=-1), "The lengths")
    expect_close(got, want, "The turned vectors")


def longer_base(width: int, base: float, factor: float) -> float:
    """Return the base that slows the slowest pair by `factor`, and the fastest not at all."""
    raise NotImplementedError


def check_longer_base(answer) -> None:
    """Against the program's own."""
    for width, base, factor in ((64, 1e4, 8.0), (128, 5e5, 4.0), (8, 100.0, 2.0)):
        got = answer(width, base, factor) / ntk_base(width, base, factor)
        expect_close(
            got, 1.0, f"Width {width}, factor {factor}: your base by the right one"
        )


def penalties(n_heads: int, time: int) -> Tensor:
    """Return ALiBi's terms for the scores, (n_heads, time, time), for a power of two heads.

    Head `h`, counted from 1, has the slope `2 ** (-8 * h / n_heads)`. A key `k` places back
    costs `k` times that; later keys need no term and have 0.
    """
    raise NotImplementedError


def check_penalties(answer) -> None:
    """Signs, slopes, and the future."""
    for n_heads, time in ((4, 5), (8, 3)):
        got = answer(n_heads, time)
        expect(
            tuple(got.shape) == (n_heads, time, time),
            "It should be (heads, time, time).",
        )
        place = torch.arange(time)
        distance = (place[:, None] - place).clamp_min(0)
        want = -torch.tensor(alibi_slopes(n_heads))[:, None, None] * distance
        expect_close(got, want, "The terms")
