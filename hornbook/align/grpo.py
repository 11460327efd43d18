"""GRPO: reinforcement learning from rewards a program can check.

Shao et al. 2024 (arXiv 2402.03300): write several answers to each prompt, reward each one,
and make those likelier that did better than the others of their group. The group's mean
takes the place of PPO's value network. rollouts.py writes the answers, judge.py and
rewards.py reward them, advantages.py compares them; this file holds what is minimised, and
the alarm that notices a policy on its way to nowhere.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hornbook.align.config import GRPOConfig, RolloutConfig
from hornbook.align.rollouts import RolloutBatch
from hornbook.align.scoring import token_log_probs
from hornbook.data.batch import IGNORE
from hornbook.train.metrics import read_metrics
from hornbook.train.objective import Loss, Objective

MOST = 2.0  # the largest weight that makes up for another sampler's distribution
DAPO_CLIP = 0.28  # Yu et al. 2025: more room upwards lets rare tokens grow
RECENT = 10  # steps whose mean reward is compared with the best so far


def policy_gradient(banned: Sequence[int], config: GRPOConfig) -> Objective:
    """-advantage times the policy's ratio to the one that wrote, clipped as in PPO, summed.

    At the first update the ratio is 1 and this is the plain policy gradient. RLOO takes one
    ratio for a whole answer. ``config.kl`` adds the k3 estimate of the divergence from the
    frozen start (for RLOO it is in the rewards already). Where the engine's arithmetic gave
    a token another probability than training does, its loss is weighted by the quotient, at
    most ``MOST``. Metrics are means over answers: ``reward``, ``length`` in tokens,
    ``entropy`` and ``kl`` in nats per token, ``ratio``, ``clipped``, ``zero_variance`` (the
    share of groups whose answers are all rewarded alike), ``sampler_gap`` (between the
    engine's log-probabilities and ours, in nats) and ``reward_errors``.
    """
    high = config.clip_high or (DAPO_CLIP if config.variant == "dapo" else config.clip)
    whole = config.variant == "rloo"

    def objective(model: Any, batch: RolloutBatch) -> Loss:
        new, unbanned, entropy = token_log_probs(
            model, batch.tokens, batch.targets, banned
        )
        written = (batch.targets != IGNORE).float()
        old = new.detach() if batch.old is None else batch.old
        log_ratio = new - old
        if (
            whole
        ):  # every token of an answer carries the answer's ratio, once in the sum
            log_ratio = log_ratio.sum(1, keepdim=True)
        ratio = log_ratio.exp()
        limited = ratio.clamp(1 - config.clip, 1 + high)
        gain = batch.advantages[:, None]
        losses = -torch.minimum(ratio * gain, limited * gain)
        weight = correction(batch, unbanned)
        drift = torch.zeros_like(new)
        if batch.reference is not None:
            apart = batch.reference - new
            drift = (apart.exp() - apart - 1) * written
        if not whole:
            losses = (losses * weight.clamp(max=MOST) + config.kl * drift) * written
        total = (losses.sum(1) * batch.scale).sum()
        lengths = written.sum(1).clamp(min=1)

        def mean(values: Tensor) -> Tensor:
            return ((values.detach() * written).sum(1) / lengths).sum()

        metrics = {
            "reward": batch.rewards.sum(),
            "length": written.sum(),
            "entropy": mean(entropy),
            "kl": mean(drift),
            "ratio": mean(ratio.expand_as(new)),
            "clipped": mean((ratio != limited).float().expand_as(new)),
            "zero_variance": (1 - batch.mixed).sum(),
            "sampler_gap": mean(weight.log().abs()),
        }
        if batch.failed is not None:
            metrics["reward_errors"] = batch.failed.sum()
        return Loss(total, metrics)

    return objective


def correction(batch: RolloutBatch, unbanned: Tensor) -> Tensor:
    """How much likelier the policy that wrote finds each token than the engine did.

    1 where the two agree, as they do but for rounding when both compute in float32.
    """
    if batch.sampled is None:
        return torch.ones_like(unbanned)
    ours = unbanned if batch.unbanned is None else batch.unbanned
    return (ours - batch.sampled).nan_to_num(0.0).exp()


def collapse_alarm(
    diary: Path, config: RolloutConfig
) -> Callable[[dict[str, float]], str]:
    """Tells what is wrong with a step's numbers, before the step touches the weights.

    A policy that is too far from its start, that has only one thing left to say, or whose
    reward has fallen far below its best is stopped, and the guard goes back to a healthy
    checkpoint. What was best is read from the diary, which resuming cuts to the checkpoint,
    so a resumed run judges alike.
    """

    def alarm(numbers: dict[str, float]) -> str:
        if config.max_kl and numbers["kl"] > config.max_kl:
            return f"the policy is {numbers['kl']:.3g} nats a token from its start"
        if numbers["entropy"] < config.min_entropy:
            return f"the policy's entropy has fallen to {numbers['entropy']:.3g} nats"
        seen = [r["reward"] for r in read_metrics(diary) if "reward" in r]
        if config.min_reward and len(seen) >= 2 * RECENT:
            now = sum([*seen[1 - RECENT :], numbers["reward"]]) / RECENT
            sums = [sum(seen[i : i + RECENT]) for i in range(len(seen) - RECENT + 1)]
            best = max(sums) / RECENT
            if best > 0 and now < config.min_reward * best:
                return f"the reward has fallen to {now:.3g}; it was {best:.3g}"
        return ""

    return alarm
