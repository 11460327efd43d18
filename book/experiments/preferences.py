"""The measurements of chapter 12: small worlds in which the best policy can be computed.

    python -m book.experiments.preferences

A policy here is a table of logits, one row for each prompt and one column for each answer;
what is minimised are the losses of ``hornbook/align/`` themselves.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from book.experiments.record import record
from hornbook.align.advantages import advantages_of
from hornbook.align.losses import PairLoss, Scores, dpo, ipo, simpo
from hornbook.align.ppo import advantages_and_returns

ANSWERS, BETA = 48, 0.5


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("12/losses.json", losses())
    record("12/goodhart.json", goodhart())
    record("12/dpo.json", learn())
    record("12/group.json", groups())
    record("12/trace.json", traces())


# ------------------------------------------------------------------------- shapes of losses
def losses() -> dict[str, Any]:
    """Each loss and its pull on the chosen answer, by the margin it has already."""
    family: dict[str, PairLoss] = {
        "dpo": dpo(0.1),
        "cdpo": dpo(0.1, label_smoothing=0.1),
        "ipo": ipo(0.1),
        "simpo": simpo(2.0, 0.5),
    }
    rows: dict[str, list[list[float]]] = {name: [] for name in family}
    for step in range(-40, 81, 2):
        for name, loss in family.items():
            policy = torch.tensor([[float(step), 0.0]], requires_grad=True)
            lengths = torch.full((1, 2), 8.0)
            value = loss(Scores(policy, torch.zeros(1, 2), lengths))[0].sum()
            value.backward()
            assert policy.grad is not None
            rows[name].append([step, value.item(), -policy.grad[0, 0].item()])
    return {"length": 8, "beta": 0.1, "rows": rows}


# --------------------------------------------------------------- a reward that is a little off
def goodhart() -> dict[str, Any]:
    """The optimal policy under a noisy reward, by how far it may go from its start."""
    generator = torch.Generator().manual_seed(1)
    shape = (400, 256)  # prompts, answers
    start = torch.randn(shape, generator=generator).log_softmax(-1)
    true = torch.randn(shape, generator=generator)
    heavy = torch.distributions.StudentT(2.5)
    torch.manual_seed(2)
    proxies = {"light": true + torch.randn(shape, generator=generator)}
    proxies["heavy"] = true + heavy.sample(shape)
    curves: dict[str, list[list[float]]] = {}
    for name, proxy in proxies.items():
        rows = []
        for price in np.geomspace(30, 0.05, 40):
            policy = (start + proxy / float(price)).log_softmax(-1)
            p = policy.exp()
            kl = (p * (policy - start)).sum(-1).mean().item()
            means = [(p * r).sum(-1).mean().item() for r in (proxy, true)]
            rows.append([kl, *means])
        curves[name] = rows
    return {"prompts": shape[0], "answers": shape[1], "curves": curves}


# ------------------------------------------------------------------------------ DPO at work
def learn() -> dict[str, Any]:
    """DPO on preferences drawn from a known reward, against the policy it should find."""
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(ANSWERS, generator=generator).log_softmax(-1)
    reward = torch.randn(ANSWERS, generator=generator)
    best = (start + reward / BETA).log_softmax(-1)
    rows = []
    for name, loss, count in (
        ("dpo", dpo(BETA), 200_000),
        ("dpo, few pairs", dpo(BETA), 60),
        ("ipo, few pairs", ipo(BETA), 60),
        ("cdpo, few pairs", dpo(BETA, label_smoothing=0.1), 60),
    ):
        torch.manual_seed(4)
        first = torch.multinomial(start.exp(), count, replacement=True)
        other = torch.multinomial(start.exp(), count, replacement=True)
        wins = torch.rand(count) < torch.sigmoid(reward[first] - reward[other])
        chosen, rejected = (
            torch.where(wins, first, other),
            torch.where(wins, other, first),
        )
        rows.append({"name": name, "pairs": count})
        rows[-1] |= _descend(loss, start, best, reward, chosen, rejected)
    return {
        "answers": ANSWERS,
        "beta": BETA,
        "reward_start": (start.exp() * reward).sum().item(),
        "reward_best": (best.exp() * reward).sum().item(),
        "kl_best": (best.exp() * (best - start)).sum().item(),
        "rows": rows,
    }


def _descend(
    loss: PairLoss,
    start: Tensor,
    best: Tensor,
    reward: Tensor,
    good: Tensor,
    bad: Tensor,
) -> dict[str, Any]:
    """Adam on all pairs at once; what the policy has become, along the way."""
    logits = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    seen = torch.zeros(ANSWERS, dtype=torch.bool)
    seen[good] = seen[bad] = True
    ones = torch.ones(len(good), 2)
    reference = torch.stack((start[good], start[bad]), 1)
    curve = []
    for step in range(401):
        policy = logits.log_softmax(-1)
        scores = Scores(torch.stack((policy[good], policy[bad]), 1), reference, ones)
        value = loss(scores)[0].mean()
        if step % 10 == 0:
            p = policy.detach()
            curve.append(
                {
                    "step": step,
                    "reward": (p.exp() * reward).sum().item(),
                    "to_best": (p.exp() * (p - best)).sum().item(),
                    "kl": (p.exp() * (p - start)).sum().item(),
                    "chosen": (p[good] - start[good]).mean().item(),
                    "rejected": (p[bad] - start[bad]).mean().item(),
                    "unseen": p.exp()[~seen].sum().item(),
                }
            )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return {"unseen_start": start.exp()[~seen].sum().item(), "curve": curve}


# ------------------------------------------------------------------------- groups of answers
def groups() -> dict[str, Any]:
    """What a prompt teaches, by how often it is answered right: 20,000 groups of 8 each."""
    size, count = 8, 20_000
    generator = np.random.default_rng(5)
    rows = []
    for chance in (0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99):
        rewards = (generator.random((count, size)) < chance).astype(np.float64)
        row = {"chance": chance, "equal": float((rewards.std(1) == 0).mean())}
        for variant in ("grpo", "dr_grpo", "rloo"):
            gains = advantages_of(rewards, variant)
            right = rewards == 1
            # The gradient of log-odds: each answer pulls with (right - chance).
            row[variant] = float((gains * (right - chance)).mean())
            row[f"{variant}_right"] = float(gains[right].mean())
        rows.append(row)
    return {"group": size, "groups": count, "rows": rows}


# --------------------------------------------------------------------- how far to look ahead
def traces() -> dict[str, Any]:
    """The error of generalised advantages, by lambda and by how wrong the values are."""
    time, answers = 24, 20_000
    torch.manual_seed(6)
    effect = 0.3 * torch.randn(
        answers, time
    )  # what each token does to the final reward
    rewards = effect.sum(1) + 0.5 * torch.randn(answers)
    before = effect.cumsum(1) - effect  # what is known before each token
    written = torch.ones(answers, time, dtype=torch.bool)
    rows = []
    for wrong in (0.0, 0.3, 1.0):
        # A value head errs alike at neighbouring places: one error for each answer, and one
        # for each place.
        error = wrong * (torch.randn(answers, 1) + torch.randn(answers, time)) / 2**0.5
        for trace in (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0):
            gains, _ = advantages_and_returns(
                torch.zeros(answers, time), before + error, rewards, written, 1.0, trace
            )
            off = F.mse_loss(gains, effect).sqrt().item()
            rows.append({"wrong": wrong, "trace": trace, "off": off})
    return {"time": time, "effect": 0.3, "rows": rows}


if __name__ == "__main__":
    main()
