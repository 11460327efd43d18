"""Exercises of chapter 12: preferences."""

import numpy as np
import torch
from torch import Tensor

from hornbook.align.advantages import advantages_of
from hornbook.align.losses import Scores, dpo
from hornbook.align.ppo import advantages_and_returns
from hornbook.exercises.judge import expect, expect_close


def best_policy(start: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Return the policy with the most reward less `beta` times its divergence from `start`.

    `start` are the probabilities (answers,) of the reference, `rewards` are (answers,). The
    result is (answers,) and sums to one. Rewards may be in the hundreds.
    """
    raise NotImplementedError


def check_best_policy(answer) -> None:
    """The closed form, and that nothing near it is better."""
    torch.manual_seed(0)
    start, rewards = torch.rand(12).softmax(-1), torch.randn(12)
    for beta in (0.2, 1.0, 5.0):
        want = (start.log() + rewards / beta).softmax(-1)
        expect_close(answer(start.clone(), rewards.clone(), beta), want, "The policy")
    huge = answer(start, rewards * 500, 0.1)
    expect(
        bool(huge.isfinite().all()),
        "Large rewards overflow: work with logarithms until the end.",
    )


def dpo_loss(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Return the mean DPO loss of a batch of pairs.

    `policy` and `reference` are (pairs, 2): log-probabilities of the chosen and of the
    rejected answer. A margin of minus a thousand must not overflow.
    """
    raise NotImplementedError


def check_dpo_loss(answer) -> None:
    """Against the program's own, at the start, and far from it."""
    torch.manual_seed(1)
    policy, reference = -20 * torch.rand(2, 6, 2)
    start = answer(policy.clone(), policy.clone(), 0.1)
    expect_close(start, float(np.log(2)), "The loss where nothing has changed")
    want = dpo(0.3)(Scores(policy, reference, torch.ones(6, 2)))[0].mean()
    expect_close(answer(policy, reference, 0.3), want, "The loss")
    far = answer(torch.tensor([[-1000.0, 0.0]]), torch.zeros(1, 2), 1.0)
    expect(
        bool(torch.as_tensor(far).isfinite()),
        "Where the margin is -1000 the loss is infinite: use a stable form of -ln sigma.",
    )


def group_advantages(rewards: np.ndarray) -> np.ndarray:
    """Return how much better each answer did than the others of its group.

    `rewards` are (prompts, group). Each answer is compared with the mean of the *other*
    answers to the same prompt, its own reward left out.
    """
    raise NotImplementedError


def check_group_advantages(answer) -> None:
    """Against the program's RLOO."""
    rewards = np.random.default_rng(2).random((5, 4))
    got = np.asarray(answer(rewards.copy()))
    expect(got.shape == (5, 4), "The result should be (prompts, group).")
    expect_close(got, advantages_of(rewards, "rloo"), "The advantages")


def traced(surprises: Tensor, decay: float) -> Tensor:
    """Return generalised advantages from the rises of one answer's expectation.

    `surprises` are (time,): by how much the expected reward rose with each token. The
    advantage of a token is its own rise, plus `decay` times the next one, plus `decay`
    squared times the one after, and so on to the end.
    """
    raise NotImplementedError


def check_traced(answer) -> None:
    """Against the program's own on an answer whose values are known."""
    torch.manual_seed(3)
    values = torch.randn(1, 9)
    reward = torch.tensor([0.7])
    later = torch.cat((values[0, 1:], reward))
    surprises = later - values[0]
    for decay in (0.0, 0.5, 0.95, 1.0):
        want, _ = advantages_and_returns(
            torch.zeros(1, 9),
            values,
            reward,
            torch.ones(1, 9, dtype=torch.bool),
            1.0,
            decay,
        )
        expect_close(
            answer(surprises.clone(), decay), want[0], f"Advantages at {decay}"
        )
