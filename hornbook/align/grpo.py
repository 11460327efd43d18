"""GRPO: reinforcement learning from rewards a program can check.

Shao et al. 2024 (arXiv 2402.03300): write several answers to each prompt, reward each one,
and make those likelier that did better than the others of their group. The group's mean
takes the place of PPO's value network.

Answers are sampled from the policy as it is at that step, at temperature 1 without top-k or
top-p, and scored under exactly the distribution they were drawn from. So a step is a
function of (weights, prompts, seed, step), and a resumed run writes the same answers: no
rollout buffer has to be saved. Reading order: :class:`Rollouts`, :func:`advantages_of`,
:func:`policy_gradient`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hornbook.align.config import GRPOConfig
from hornbook.align.messages import Message
from hornbook.align.order import rows_of_step
from hornbook.align.sft import PAD
from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE, TensorBatch
from hornbook.data.permutation import random_number
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Completion, Engine
from hornbook.tokenizer.chat import render_chat
from hornbook.train.objective import Loss, Objective

END = "<|end|>"


@dataclass(frozen=True)
class Exercise:
    """A prompt and ``reward(answer)``, which says how good an answer to it is."""

    prompt: list[Message]
    reward: Callable[[str], float]


@dataclass(frozen=True)
class RolloutBatch(TensorBatch):
    """Sampled answers and how much better than their group each one did.

    tokens      (answers, time) int64
    targets     (answers, time) int64: the sampled tokens, ``IGNORE`` elsewhere
    advantages  (answers,) float32
    scale       (answers,) float32: what each answer's summed loss is multiplied by
    rewards     (answers,) float32
    mixed       (answers,) float32: 1 where the answers of the group differ in reward
    """

    tokens: Tensor
    targets: Tensor
    advantages: Tensor
    scale: Tensor
    rewards: Tensor
    mixed: Tensor


class Rollouts:
    """A batch source that lets the policy answer ``config.prompts`` exercises a step.

    ``batch(step)`` depends on the weights of ``engine``'s model, the exercises, the seed and
    the step, and on nothing else. Rows are padded to one length per run.
    """

    def __init__(
        self,
        engine: Engine,
        exercises: Sequence[Exercise],
        config: GRPOConfig,
        seed: int,
    ) -> None:
        room = engine.model.config.context_length - config.max_tokens
        encoded = [
            render_chat(engine.tokenizer, e.prompt, add_generation_prompt=True).ids
            for e in exercises
        ]
        self.exercises = [
            (e, ids.tolist())
            for e, ids in zip(exercises, encoded, strict=True)
            if len(ids) <= room
        ]
        if not self.exercises:
            raise UserError(
                f"No exercise leaves room for {config.max_tokens} tokens in a context of "
                f"{engine.model.config.context_length}; lower 'max_tokens'."
            )
        self.engine, self.config, self.seed = engine, config, seed
        self.time = max(len(ids) for _, ids in self.exercises) + config.max_tokens

    def __call__(self, step: int) -> RolloutBatch:
        """Step ``step``'s answers, ``(prompts * group, time)``, groups one after another."""
        config = self.config
        chosen = rows_of_step(step, config.prompts, len(self.exercises), self.seed)
        asked = [self.exercises[i] for i in chosen for _ in range(config.group)]
        seed = random_number(self.seed, step, 3)
        answers = self.write([ids for _, ids in asked], seed)
        rewards = np.array(
            [e.reward(a.text) for (e, _), a in zip(asked, answers, strict=True)],
            np.float32,
        )
        tokens, targets = self._tensors([ids for _, ids in asked], answers)
        lengths = (targets != IGNORE).sum(1)
        groups = rewards.reshape(-1, config.group)
        mixed = np.repeat(np.ptp(groups, axis=1) > 0, config.group)
        return RolloutBatch(
            tokens,
            targets,
            torch.from_numpy(advantages_of(groups, config.variant).ravel()),
            answer_scale(lengths, config),
            torch.from_numpy(rewards),
            torch.from_numpy(mixed.astype(np.float32)),
        )

    def write(self, prompts: list[list[int]], seed: int) -> list[Completion]:
        """Sample one answer to each prompt from the full distribution."""
        training = self.engine.model.training
        self.engine.model.eval()
        sampling = SamplingConfig(
            max_tokens=self.config.max_tokens, temperature=1.0, seed=seed
        )
        end = frozenset({self.engine.tokenizer.special[END]})
        answers = self.engine.generate(prompts, sampling, end)
        self.engine.model.train(training)
        return answers

    def _tensors(
        self, prompts: list[list[int]], answers: list[Completion]
    ) -> tuple[Tensor, Tensor]:
        """Inputs and targets, padded; an answer that ended has its ``<|end|>`` as target."""
        special = self.engine.tokenizer.special
        tokens = torch.full((len(prompts), self.time), special[PAD])
        targets = torch.full((len(prompts), self.time), IGNORE)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            end = [special[END]] if answer.finish_reason == "stop" else []
            ids = torch.tensor([*prompt, *answer.ids, *end])
            tokens[row, : len(ids) - 1] = ids[:-1]
            targets[row, len(prompt) - 1 : len(ids) - 1] = ids[len(prompt) :]
        return tokens, targets


def advantages_of(rewards: np.ndarray, variant: str) -> np.ndarray:
    """How much better each answer did than its group, from rewards ``(prompts, group)``.

    grpo, dapo  less the mean, over the standard deviation
    dr_grpo     less the mean only: dividing favours prompts that are too easy or too hard
                (Liu et al. 2025, arXiv 2503.20783)
    rloo        less the mean of the *other* answers (Ahmadian et al. 2024, arXiv 2402.14740)
    """
    group = rewards.shape[1]
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    if variant == "rloo":
        return (centred * group / (group - 1)).astype(np.float32)
    if variant == "dr_grpo":
        return centred.astype(np.float32)
    deviation = rewards.std(axis=1, ddof=1, keepdims=True)
    return (centred / (deviation + 1e-4)).astype(np.float32)


def answer_scale(lengths: Tensor, config: GRPOConfig) -> Tensor:
    """What an answer's loss, summed over its tokens, counts; the loop averages over answers.

    grpo     one over its length: every answer counts the same
    dapo     one over the mean length: every token counts the same (arXiv 2503.14476)
    dr_grpo  one over the longest length allowed: as dapo, and no step depends on luck
    rloo     1: the log-probability of the whole answer
    """
    lengths = lengths.float().clamp(min=1)
    return {
        "grpo": 1 / lengths,
        "dapo": torch.full_like(lengths, 1 / lengths.mean().item()),
        "dr_grpo": torch.full_like(lengths, 1 / config.max_tokens),
        "rloo": torch.ones_like(lengths),
    }[config.variant]


def policy_gradient(banned: Sequence[int]) -> Objective:
    """-advantage times the log-probability of every sampled token, summed.

    Every batch is used for one step, so the policy that is trained is the one that wrote
    the answers and PPO's ratio and clipping have nothing to do. ``banned`` are the tokens
    the engine never samples; they have no probability here either. Metrics, summed over
    answers: ``reward``, ``length``, ``entropy`` in nats per token, ``mixed_groups``.
    """
    never = torch.tensor(sorted(banned), dtype=torch.long)

    def objective(model: nn.Module, batch: RolloutBatch) -> Loss:
        logits = model(batch.tokens).float()
        logits = logits.index_fill(-1, never.to(logits.device), -1e9)
        log_shares = logits.log_softmax(-1)
        written = batch.targets != IGNORE
        picked = batch.targets.clamp(min=0).unsqueeze(-1)
        log_probs = log_shares.gather(-1, picked).squeeze(-1) * written
        lengths = written.sum(1)
        total = -(batch.advantages * batch.scale * log_probs.sum(1)).sum()
        with torch.no_grad():
            entropy = -(log_shares.exp() * log_shares).sum(-1) * written
        metrics = {
            "reward": batch.rewards.sum(),
            "length": lengths.sum().float(),
            "entropy": (entropy.sum(1) / lengths.clamp(min=1)).sum(),
            "mixed_groups": batch.mixed.sum(),
        }
        return Loss(total, metrics)

    return objective
