"""Exercises of chapter 7: the objective and the optimizer."""

import torch
from torch import Tensor

from hornbook.exercises.judge import expect, expect_close
from hornbook.train.config import TrainConfig
from hornbook.train.schedule import rate


def loss_and_gradient(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed cross-entropy in nats and its gradient with respect to the logits.

    `logits` is (n, v), `targets` is (n,) and holds ids, or -100 where a row does not count.
    Write the gradient down instead of asking autograd for it, and survive large logits.
    """
    raise NotImplementedError


def check_loss_and_gradient(answer) -> None:
    """Against autograd, with ignored rows and with logits that overflow."""
    torch.manual_seed(0)
    logits = torch.randn(6, 9, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([3, 0, -100, 8, 8, -100])
    want = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    (slope,) = torch.autograd.grad(want, logits)
    loss, gradient = answer(logits.detach().clone(), targets.clone())
    expect_close(loss, want.detach(), "The loss")
    expect_close(
        gradient[2], torch.zeros(9), "The gradient of a row that does not count"
    )
    expect_close(gradient, slope, "The gradient")
    loss, gradient = answer(logits.detach() * 1e4, targets)
    finite = bool(torch.as_tensor(loss).isfinite() and gradient.isfinite().all())
    expect(finite, "Large logits overflow: take the row's maximum away first.")


def adam_step(
    weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: int, lr: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the new weight, mean and square after one step of Adam.

    `step` counts from 1. The betas are 0.9 and 0.95, epsilon is 1e-8 and is added to the
    root; both moments are corrected for their start at zero. There is no weight decay.
    """
    raise NotImplementedError


def check_adam_step(answer) -> None:
    """Five steps beside PyTorch's Adam."""
    torch.manual_seed(1)
    mine = torch.randn(4, 3, dtype=torch.float64)
    theirs = torch.nn.Parameter(mine.clone())
    optimizer = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.95))
    mean, square = torch.zeros_like(mine), torch.zeros_like(mine)
    for step in range(1, 6):
        theirs.grad = torch.randn(4, 3, dtype=torch.float64) * step
        optimizer.step()
        mine, mean, square = answer(mine, theirs.grad.clone(), mean, square, step, 0.1)
        expect_close(
            mine, theirs.detach(), f"The weight after step {step}", within=1e-6
        )


def cosine(step: int, steps: int, warmup: int, final: float) -> float:
    """Return the share of the peak rate at `step`, counted from 0.

    It rises in equal parts over the first `warmup` steps, reaching 1 at step `warmup - 1`,
    and then falls from 1 to `final` at `steps` along half a period of the cosine.
    """
    raise NotImplementedError


def check_cosine(answer) -> None:
    """Against the schedule that the loop uses."""
    config = TrainConfig(steps=50, warmup=0.1, final=0.2)
    for step in range(50):
        want, got = rate(step, config), answer(step, 50, 5, 0.2)
        expect(
            abs(got - want) < 1e-9, f"At step {step} it is {got:.4g}, not {want:.4g}."
        )


def orthogonal(matrix: Tensor) -> Tensor:
    """Return the semi-orthogonal matrix nearest to `matrix`, exactly.

    It has the singular vectors of `matrix` and singular values of one. Muon approximates it.
    """
    raise NotImplementedError


def check_orthogonal(answer) -> None:
    """Tall and wide: orthonormal, and aligned with the matrix."""
    torch.manual_seed(2)
    for shape in ((7, 4), (4, 7)):
        matrix = torch.randn(*shape, dtype=torch.float64)
        got = answer(matrix.clone())
        expect(tuple(got.shape) == shape, "The shape should be that of the matrix.")
        gram = got.mT @ got if shape[0] > shape[1] else got @ got.mT
        expect_close(gram, torch.eye(4), "The product with its own transpose")
        inner, want = (got * matrix).sum(), torch.linalg.svdvals(matrix).sum()
        expect_close(inner, want, "The inner product with the matrix (its largest is)")
