"""Preference losses: raise the better answer, lower the worse one.

All of them see a batch of pairs as log-probabilities ``(pairs, 2)``, the chosen answer's
first, and differ in a few lines. Reading order: :func:`dpo`, then how each of the others
departs from it; :func:`preference_objective` turns one into an objective for the loop.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hornbook.align.config import DPOConfig
from hornbook.align.scoring import log_probs
from hornbook.data.batch import IGNORE, TensorBatch
from hornbook.train.objective import Loss, Objective


@dataclass(frozen=True)
class PreferenceBatch(TensorBatch):
    """Pairs of answers; along the second dimension the chosen one comes first.

    tokens     (pairs, 2, time) int64
    targets    (pairs, 2, time) int64: the next token within the answer, or ``IGNORE``
    reference  (pairs, 2) float32: the frozen model's log-probability of each answer
    desirable  (pairs,) bool or None: with labels, the first answer is good or bad by itself
               and the second is unrelated to the prompt
    """

    tokens: Tensor
    targets: Tensor
    reference: Tensor
    desirable: Tensor | None = None


@dataclass(frozen=True)
class Scores:
    """What a loss is made of, all ``(pairs, 2)``.

    ``policy`` and ``reference`` are summed log-probabilities of the answers in nats,
    ``lengths`` their tokens.
    """

    policy: Tensor
    reference: Tensor
    lengths: Tensor


PairLoss = Callable[
    [Scores], tuple[Tensor, Tensor]
]  # losses (pairs,), rewards (pairs, 2)


def dpo(
    beta: float, label_smoothing: float = 0.0, length_normalised: bool = False
) -> PairLoss:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290).

    The reward a policy implies is how much likelier it makes an answer than the reference
    does, times ``beta``. The loss is logistic regression on the difference of two rewards:
    no reward model, no sampling. ``label_smoothing`` is the share of labels believed wrong
    (conservative DPO, Mitchell 2023). ``length_normalised`` takes rewards per token, so that
    a long answer doesn't win by its length.
    """

    def losses(scores: Scores) -> tuple[Tensor, Tensor]:
        rewards = beta * (scores.policy - scores.reference)
        if length_normalised:
            rewards = rewards / scores.lengths
        margin = rewards[:, 0] - rewards[:, 1]
        right, wrong = -F.logsigmoid(margin), -F.logsigmoid(-margin)
        return (1 - label_smoothing) * right + label_smoothing * wrong, rewards

    return losses


def ipo(beta: float) -> PairLoss:
    """Identity preference optimisation (Azar et al. 2023, arXiv 2310.12036).

    A squared loss with a target margin of 1/(2 beta): a pair already won pulls no further,
    so certain preferences don't drive the policy away from its reference. Per token, as the
    authors recommend for answers of unequal length.
    """

    def losses(scores: Scores) -> tuple[Tensor, Tensor]:
        rewards = (scores.policy - scores.reference) / scores.lengths
        return (rewards[:, 0] - rewards[:, 1] - 1 / (2 * beta)) ** 2, rewards

    return losses


def simpo(beta: float, target_margin: float) -> PairLoss:
    """Simple preference optimisation (Meng et al. 2024, arXiv 2405.14734).

    No reference: the reward is the mean log-probability per token, the quantity that
    sampling follows, and it must lead by ``target_margin``.
    """

    def losses(scores: Scores) -> tuple[Tensor, Tensor]:
        rewards = beta * scores.policy / scores.lengths
        return -F.logsigmoid(rewards[:, 0] - rewards[:, 1] - target_margin), rewards

    return losses


def orpo(beta: float) -> PairLoss:
    """Odds-ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691).

    No reference and no SFT before it: the chosen answer's loss per token, plus ``beta``
    times a penalty where the odds of the chosen answer don't exceed those of the rejected.
    """

    def losses(scores: Scores) -> tuple[Tensor, Tensor]:
        per_token = scores.policy / scores.lengths
        log_odds = per_token - log1mexp(per_token)
        penalty = -F.logsigmoid(log_odds[:, 0] - log_odds[:, 1])
        return -per_token[:, 0] + beta * penalty, beta * per_token

    return losses


def kto(beta: float) -> Objective:
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306).

    Good and bad answers without pairs. An answer's reward is judged against a point of
    reference, the policy's drift from the frozen model on unrelated answers (never below
    zero, and without a gradient); gains and losses saturate as people's feelings do. Takes
    the labelled answers of ``encode_labelled``.
    """

    def objective(model: Any, batch: PreferenceBatch) -> Loss:
        assert batch.desirable is not None
        tokens, targets = batch.tokens, batch.targets
        policy = log_probs(model, tokens[:, 0], targets[:, 0])
        with torch.no_grad():
            unrelated = log_probs(model, tokens[:, 1], targets[:, 1])
            drift = (unrelated - batch.reference[:, 1]).mean().clamp(min=0)
        gain = beta * (policy - batch.reference[:, 0] - drift)
        losses = 1 - torch.sigmoid(torch.where(batch.desirable, gain, -gain))
        gain = gain.detach()
        metrics = {
            "gain_desirable": (gain * batch.desirable).sum(),
            "gain_undesirable": (gain * ~batch.desirable).sum(),
            "accuracy": ((gain > 0) == batch.desirable).float().sum(),
            "kl": drift * len(gain),
        }
        return Loss(losses.sum(), metrics)

    return objective


def preference_objective(config: DPOConfig) -> Objective:
    """The objective that ``[dpo]`` asks for.

    ``sft_weight`` times the chosen answer's loss per token is added, which keeps it from
    losing probability along with the rejected one (Pang et al. 2024, arXiv 2404.19733).
    Metrics are summed over pairs like the loss: ``reward_chosen``, ``reward_rejected``,
    ``margin``, ``accuracy``.
    """
    if config.loss == "kto":
        return kto(config.beta)
    by_token = config.length_normalised
    pair_loss = {
        "dpo": lambda: dpo(config.beta, config.label_smoothing, by_token),
        "cdpo": lambda: dpo(config.beta, config.label_smoothing or 0.1, by_token),
        "ipo": lambda: ipo(config.beta),
        "simpo": lambda: simpo(config.beta, config.target_margin),
        "orpo": lambda: orpo(config.beta),
    }[config.loss]()

    def objective(model: Any, batch: PreferenceBatch) -> Loss:
        policy = log_probs(model, batch.tokens, batch.targets)
        lengths = (batch.targets != IGNORE).sum(-1)
        losses, rewards = pair_loss(Scores(policy, batch.reference, lengths))
        if config.sft_weight:
            losses = losses - config.sft_weight * policy[:, 0] / lengths[:, 0]
        return Loss(losses.sum(), reward_metrics(rewards.detach()))

    return objective


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, exact at both ends (Mächler 2012)."""
    half = -math.log(
        2
    )  # each branch is clamped to its side: no NaN in the other's gradient
    near_zero = torch.log(-torch.expm1(x.clamp(min=half)))
    return torch.where(x > half, near_zero, torch.log1p(-torch.exp(x.clamp(max=half))))


def reward_metrics(rewards: Tensor) -> dict[str, Tensor]:
    """What is watched during preference training, from rewards (pairs, 2)."""
    chosen, rejected = rewards[:, 0], rewards[:, 1]
    return {
        "reward_chosen": chosen.sum(),
        "reward_rejected": rejected.sum(),
        "margin": (chosen - rejected).sum(),
        "accuracy": (chosen > rejected).float().sum(),
    }
