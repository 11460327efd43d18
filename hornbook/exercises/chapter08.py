"""Exercises of chapter 8: the training loop."""

import random

import torch

from hornbook.exercises.judge import expect
from hornbook.train.config import GuardConfig
from hornbook.train.guard import Guard


def mean_loss(losses: list[float], counts: list[int]) -> float:
    """Return the mean loss per token of a batch that was cut into micro-batches.

    `losses` holds the mean loss of each piece over the tokens that count in it, `counts` how
    many those are. A piece may have none; its loss is then no number and must not matter.
    """
    raise NotImplementedError


def check_mean_loss(answer) -> None:
    """Pieces of different length, and an empty one."""
    got = answer([2.0, 4.0], [30, 10])
    expect(
        abs(got - 2.5) < 1e-9, f"Two pieces of 30 and 10 tokens give 2.5, not {got}."
    )
    got = answer([float("nan"), 3.0, 1.0], [0, 5, 5])
    expect(got == 2.0, "A piece without tokens should not touch the result.")


def bfloat16(x: float) -> float:
    """Return `x` rounded to the nearest number that bfloat16 has, ties to even.

    A bfloat16 is a float32 without its lower 16 bits. Finite numbers only; those too large
    may become infinite.
    """
    raise NotImplementedError


def check_bfloat16(answer) -> None:
    """A few by hand, ties among them, then many at random beside PyTorch."""
    dice = random.Random(8)
    cases = [0.0, 1.0, -1.0, 1.00390625, 1.01171875, 3.14159, 1e-30]
    cases += [dice.uniform(-1, 1) * 10 ** dice.randint(-20, 20) for _ in range(300)]
    for x in cases:
        want = torch.tensor(x, dtype=torch.float32).bfloat16().item()
        expect(answer(x) == want, f"{x!r} should become {want!r}, not {answer(x)!r}.")


def batch_of(step: int, skipped: list[tuple[int, int]]) -> int:
    """Return the number of the batch that `step` takes.

    Steps and batches count from 0. `skipped` holds spans, sorted and apart, each from its
    first batch to the one after its last; no step takes a batch within them.
    """
    raise NotImplementedError


def check_batch_of(answer) -> None:
    """Against the list of all batches with the spans taken out."""
    for spans in ([], [(0, 2)], [(3, 4), (6, 9)], [(1, 3), (4, 5), (10, 20)]):
        left = [n for n in range(60) if not any(a <= n < b for a, b in spans)]
        for step in range(30):
            got = answer(step, list(spans))
            expect(
                got == left[step], f"Without {spans}, step {step} takes {left[step]}."
            )


def limit(losses: list[float], spike: float) -> float:
    """Return the loss above which a step is a spike, as the guard of this chapter has it.

    What is usual is the median of the last 20 of `losses`. The deviation is 1.4826 times the
    median size of the differences of neighbours, divided by the root of two, but at least 2 %
    of what is usual and at least 0.05. The limit lies `spike` deviations above.
    """
    raise NotImplementedError


def check_limit(answer) -> None:
    """Falling, noisy and spiky losses beside the guard itself."""
    dice = random.Random(3)
    for noise in (0.0, 0.1, 0.4):
        losses = [5 - 0.02 * n + noise * dice.gauss(0, 1) for n in range(60)]
        losses[40] = 30.0
        guard = Guard(GuardConfig(spike=6.0), losses=losses)
        want, got = guard._limit(losses, 0.02, 0.05)[1], answer(losses, 6.0)
        expect(
            abs(got - want) < 1e-6, f"The limit should be {want:.4f}, not {got:.4f}."
        )
