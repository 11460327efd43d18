"""PPO: a policy, a value of every place, and rewards, as RLHF began (Ouyang et al. 2022).

Schulman et al. 2017 (arXiv 1707.06347): an answer's tokens are made likelier by how much
better things went than the value had promised, but no further than the clip allows. Each
token pays for leaving the frozen start; the last one earns the answer's reward. Reading
order: :class:`ActorCritic`, :class:`PPORounds`, :func:`advantages_and_returns`,
:func:`ppo_objective`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from hornbook.align.config import PPOConfig
from hornbook.align.rollouts import Rounds, read_round
from hornbook.align.scoring import at_targets, sampled_log_probs, spread
from hornbook.align.writing import Writing
from hornbook.core.files import atomic_file
from hornbook.data.batch import IGNORE, TensorBatch
from hornbook.data.permutation import permute, random_number
from hornbook.model.transformer import Transformer
from hornbook.train.objective import Loss, Objective

VALUE_HEAD = "value_head.safetensors"
STRAY = 0.2  # the most that one round may move the weight of the divergence by


class ActorCritic(nn.Module):
    """A language model with a second head: the reward it expects from each place on.

    The head starts at zero, so it promises nothing.
    """

    def __init__(self, body: Transformer) -> None:
        super().__init__()
        self.body = body
        self.value_head = nn.Linear(body.config.d_model, 1, bias=False)
        nn.init.zeros_(self.value_head.weight)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (answers, time, vocab_size) and values (answers, time)."""
        hidden = self.body.hidden(tokens)
        return self.body.unembed(hidden), self.value(hidden)

    def value(self, hidden: Tensor) -> Tensor:
        """Expected rewards (...) from hidden states (..., d_model)."""
        return self.value_head(hidden).squeeze(-1).float()


@dataclass(frozen=True)
class PPOBatch(TensorBatch):
    """Answers with what was thought of every token when it was written.

    tokens, targets  (answers, time) int64: as in GRPO
    old              (answers, time) float32: log-probabilities under the policy that wrote
    values           (answers, time) float32: what it expected
    advantages       (answers, time) float32: how much better it went, whitened
    returns          (answers, time) float32: what it should have expected
    rewards          (answers,) float32, without what the divergence cost
    drift            (answers,) float32: sum of log-probabilities less the start's
    price            (answers,) float32: what a nat of it cost, the same for all
    failed           (answers,) float32: 1 where the reward could not be computed
    """

    tokens: Tensor
    targets: Tensor
    old: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    rewards: Tensor
    drift: Tensor
    price: Tensor
    failed: Tensor

    @property
    def weight(self) -> float:
        """The number of tokens that were written."""
        return float((self.targets != IGNORE).sum())


class PPORounds(Rounds[PPOBatch]):
    """Rounds for PPO. ``actor`` is the model that is trained; its body writes."""

    kind = PPOBatch
    looks_back = True
    config: PPOConfig

    def __init__(self, actor: ActorCritic, *others: Any, **more: Any) -> None:
        super().__init__(actor.body, *others, **more)
        self.actor = actor

    def write(self, number: int) -> PPOBatch:
        """``(prompts * group, time)`` answers, scored by policy, start and value head."""
        assert self.reference is not None
        written, rewards, failed = self.answers(number)
        old, values = self._old(written)
        start = self.scores(self.reference, written)[0]
        price, counted = self.price(number), written.targets != IGNORE
        gains = -price * (old - start)
        earned = torch.from_numpy(rewards)
        advantages, returns = advantages_and_returns(
            gains, values, earned, counted, self.config.discount, self.config.trace
        )
        return PPOBatch(
            written.tokens,
            written.targets,
            old,
            values,
            whitened(advantages, counted),
            returns,
            earned,
            (old - start).sum(1),
            torch.full((len(earned),), price),
            torch.from_numpy(failed),
        )

    def part(self, batch: PPOBatch, number: int, update: int) -> PPOBatch:
        """A minibatch: every pass takes each answer once, in an order of its own."""
        epoch, place = divmod(update, self.config.minibatches)
        key = random_number(self.seed, number, 7, epoch)
        everyone = torch.arange(batch.size).numpy().astype("uint64")
        order = torch.from_numpy(permute(everyone, batch.size, key).astype("int64"))
        rows = order[place :: self.config.minibatches]
        return batch.map(lambda tensor: tensor[rows])

    def price(self, number: int) -> float:
        """What a nat of divergence costs in round ``number``: see :func:`next_price`.

        It follows from the round before, which is on the disk.
        """
        if not (self.directory and number):
            return self.config.kl
        path = self.directory / f"rollouts-{number - 1:08d}.safetensors"
        if not path.exists():
            return self.config.kl
        before = read_round(PPOBatch, path)
        drift = float(before.drift.double().mean())
        return next_price(float(before.price[0]), drift, before.size, self.config)

    @torch.no_grad()
    def _old(self, written: Writing) -> tuple[Tensor, Tensor]:
        """Log-probabilities and values of the policy as it is, (answers, time)."""
        device = self.actor.value_head.weight.device
        training = self.actor.training
        self.actor.eval()
        found = []
        with self.autocast():
            for rows in range(0, len(written.tokens), 16):
                pieces = (written.tokens, written.targets)
                tokens, targets = (p[rows : rows + 16].to(device) for p in pieces)
                old, _, values = judged(self.actor, tokens, targets, self.banned)
                found.append((old.cpu(), values.cpu()))
        self.actor.train(training)
        old, values = (torch.cat(part) for part in zip(*found, strict=True))
        return old, values


def judged(
    model: ActorCritic, tokens: Tensor, targets: Tensor, banned: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability of every target, entropy and value there, all (answers, time).

    0 where the target is ``IGNORE``.
    """
    hidden, places = at_targets(model.body, tokens, targets)
    chosen = targets.flatten()[places]
    new, _, entropy = sampled_log_probs(model.body.unembed(hidden), chosen, banned)
    values = model.value(hidden) * (chosen != IGNORE)
    new, entropy, values = (spread(p, places, targets) for p in (new, entropy, values))
    return new, entropy, values


def next_price(price: float, drift: float, answers: int, config: PPOConfig) -> float:
    """Dearer when answers stray too far, else cheaper (Ziegler et al. 2019, 1909.08593)."""
    if not config.target_kl:
        return price
    error = min(max(drift / config.target_kl - 1, -STRAY), STRAY)
    return price * (1 + error * answers / config.horizon)


def advantages_and_returns(
    gains: Tensor,
    values: Tensor,
    rewards: Tensor,
    written: Tensor,
    discount: float,
    trace: float,
) -> tuple[Tensor, Tensor]:
    """Generalised advantages (Schulman et al. 2015, arXiv 1506.02438), and their returns.

    gains    (answers, time): what each token earns by itself
    values   (answers, time): what was expected before it
    rewards  (answers,): what the answer earns with its last token
    written  (answers, time) bool: the places that count, without a gap

    Past the last token nothing is expected.
    """
    time = gains.shape[1]
    ends = (torch.arange(time) * written).argmax(1)
    earned = gains * written
    earned[torch.arange(len(rewards)), ends] += rewards
    advantages = torch.zeros_like(gains)
    later, expected = torch.zeros(len(rewards)), torch.zeros(len(rewards))
    for place in reversed(range(time)):
        counts = written[:, place]
        surprise = earned[:, place] + discount * expected - values[:, place]
        now = (surprise + discount * trace * later) * counts
        advantages[:, place] = now
        later, expected = now, values[:, place] * counts
    return advantages, (advantages + values) * written


def whitened(values: Tensor, written: Tensor) -> Tensor:
    """``values`` with mean 0 and variance 1 over the places that count, 0 elsewhere."""
    counted = values[written]
    deviation = counted.std(correction=0) if len(counted) else counted.sum()
    return (values - counted.mean()) / (deviation + 1e-8) * written


def ppo_objective(banned: Sequence[int], config: PPOConfig) -> Objective:
    """The clipped loss of the policy and the clipped squared error of the value, summed.

    Metrics are means over tokens; ``reward``, ``kl`` and ``price`` are those of the round:
    the reward of an answer, its divergence in nats a token, what a nat of it cost.
    """

    def objective(model: Any, batch: PPOBatch) -> Loss:
        new, entropy, values = judged(model, batch.tokens, batch.targets, banned)
        written = (batch.targets != IGNORE).float()
        ratio = (new - batch.old).exp()
        limited = ratio.clamp(1 - config.clip, 1 + config.clip)
        gain = batch.advantages
        policy = -torch.minimum(ratio * gain, limited * gain) * written
        near = batch.values + (values - batch.values).clamp(
            -config.value_clip, config.value_clip
        )
        errors = torch.maximum(
            (values - batch.returns) ** 2, (near - batch.returns) ** 2
        )
        value = 0.5 * errors * written
        total = policy.sum() + config.value_weight * value.sum()
        lengths = written.sum(1)

        def per_answer(numbers: Tensor) -> Tensor:  # the loop divides by tokens
            return numbers.mean() * lengths.sum()

        metrics = {
            "reward": per_answer(batch.rewards),
            "price": per_answer(batch.price),
            "kl": batch.drift.sum(),
            "length": per_answer(lengths),
            "entropy": entropy.sum(),
            "ratio": (ratio.detach() * written).sum(),
            "clipped": ((ratio != limited).float() * written).sum(),
            "value_loss": value.detach().sum(),
            "reward_errors": per_answer(batch.failed),
        }
        return Loss(total, metrics)

    return objective


def save_value_head(model: ActorCritic, directory: Path) -> None:
    """Write the value head beside the policy's own files; they are read without it."""
    with atomic_file(directory / VALUE_HEAD) as handle:
        handle.write(save({"weight": model.value_head.weight.detach().contiguous()}))


def load_value_head(model: ActorCritic, directory: Path) -> None:
    """Load in place what :func:`save_value_head` wrote."""
    with torch.no_grad():
        model.value_head.weight.copy_(load_file(directory / VALUE_HEAD)["weight"])
