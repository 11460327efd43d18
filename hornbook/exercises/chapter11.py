"""Exercises of chapter 11: instruction tuning and LoRA."""

import numpy as np
import torch
from torch import Tensor

from hornbook.align.distil import divergence
from hornbook.align.sft import shifted
from hornbook.exercises.judge import expect, expect_close
from hornbook.tokenizer.chat import ChatIds


def targets_of(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return what a model should predict at every place of a conversation but the last.

    `ids` and `mask` are (tokens,); the mask is 1 on what the assistant wrote, its closing
    mark included. The result is (tokens - 1,): the next token where the assistant wrote
    that one, and -100 elsewhere.
    """
    raise NotImplementedError


def check_targets_of(answer) -> None:
    """Two turns, against the program's own."""
    ids = np.arange(10, 22, dtype=np.int32)
    mask = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1], np.uint8)
    got = np.asarray(answer(ids.copy(), mask.copy()))
    expect(got.shape == (11,), "There is one target fewer than tokens.")
    want = shifted(ChatIds(ids, mask))[1]
    right = int((got != -100).sum())
    expect(right == 5, f"Five tokens were written by the assistant; you train {right}.")
    expect(
        bool((got == want).all()),
        f"The first trained place is {int((got != -100).argmax())}; it should be the one "
        "before the assistant's first token.",
    )


def changed(
    x: Tensor, weight: Tensor, down: Tensor, up: Tensor, alpha: float
) -> Tensor:
    """Return what an adapted layer computes, without forming the change as a matrix.

    `x` is (tokens, inputs), `weight` (outputs, inputs), `down` (rank, inputs) and `up`
    (outputs, rank); the change is scaled by `alpha` over the rank.
    """
    raise NotImplementedError


def check_changed(answer) -> None:
    """Against the merged weight, at two ranks."""
    torch.manual_seed(0)
    x, weight = torch.randn(5, 12), torch.randn(7, 12)
    for rank in (2, 4):
        down, up = torch.randn(rank, 12), torch.randn(7, rank)
        want = x @ (weight + 3.0 / rank * up @ down).T
        got = answer(x, weight, down, up, 3.0)
        expect(tuple(got.shape) == (5, 7), "The result should be (tokens, outputs).")
        expect_close(got, want, f"The output at rank {rank}", within=1e-3)


def nearest(change: Tensor, rank: int) -> tuple:
    """Return two thin matrices whose product is as near to `change` as their rank allows.

    `change` is (outputs, inputs). The result is the pair `up` (outputs, rank) and `down`
    (rank, inputs); nearness is the sum of squared differences.
    """
    raise NotImplementedError


def check_nearest(answer) -> None:
    """The error must be what the singular values left over say."""
    torch.manual_seed(1)
    change = torch.randn(9, 6)
    values = torch.linalg.svdvals(change)
    for rank in (1, 3, 6):
        up, down = answer(change.clone(), rank)
        expect(tuple(up.shape) == (9, rank), "`up` should be (outputs, rank).")
        expect(tuple(down.shape) == (rank, 6), "`down` should be (rank, inputs).")
        error = float((up @ down - change).norm())
        least = float(values[rank:].norm())
        expect(
            error <= least + 1e-3,
            f"At rank {rank} the product misses by {error:.3f}; {least:.3f} is possible.",
        )


def apart(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return how far a student's distributions are from its teacher's, summed over places.

    Both are logits (places, vocab_size). At each place it is the divergence of the teacher's
    distribution from the student's, both at `temperature`, times the square of the temperature.
    """
    raise NotImplementedError


def check_apart(answer) -> None:
    """Zero where they agree, and the program's own elsewhere; the direction matters."""
    torch.manual_seed(2)
    student, teacher = 3 * torch.randn(2, 4, 11)
    expect_close(
        answer(student, student.clone(), 2.0), 0.0, "Of a model from itself it"
    )
    for temperature in (1.0, 3.0):
        want = divergence(student, teacher, temperature)
        got = answer(student.clone(), teacher.clone(), temperature)
        expect_close(got, want, f"At temperature {temperature} it", within=1e-3)
