"""What the policy wrote, and what came of it: the batch source of learning from rewards.

Answers are sampled by the engine from the policy as it is, at temperature 1 without top-k or
top-p, and scored under that very distribution. One set of answers serves ``updates`` steps;
the set of a round is a function of (weights, exercises, seed, round), so a resumed run writes
the same one, and where it stopped inside a round, it reads the round's set from the disk.
Reading order: :class:`Rounds`, :class:`Rollouts`, :class:`Writer`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from hornbook.align.advantages import advantages_of, answer_scale
from hornbook.align.config import GRPOConfig, PPOConfig
from hornbook.align.judge import Exercise, Judge, Judging
from hornbook.align.order import rows_of_step
from hornbook.align.scoring import token_log_probs
from hornbook.align.writing import Writer, Writing, banned_ids, fitting
from hornbook.core.files import atomic_file
from hornbook.data.batch import IGNORE, TensorBatch
from hornbook.data.permutation import random_number
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer
from hornbook.train.checkpoint import checkpoints, step_of


@dataclass(frozen=True)
class RolloutBatch(TensorBatch):
    """Sampled answers and how much better than their group each one did.

    tokens      (answers, time) int64
    targets     (answers, time) int64: the sampled tokens, ``IGNORE`` elsewhere
    advantages  (answers,) float32
    scale       (answers,) float32: what each answer's summed loss is multiplied by
    rewards     (answers,) float32
    mixed       (answers,) float32: 1 where the answers of the group differ in reward
    old         (answers, time) float32: log-probability of each sampled token under the
                policy that wrote it; None: that is the policy that is trained
    unbanned    (answers, time) float32: as ``old``, before bans; None where that is
    reference   (answers, time) float32: the same under the frozen start; None: not asked
    sampled     (answers, time) float32: as the engine gave it, before bans; None: not known
    failed      (answers,) float32: 1 where the reward could not be computed
    """

    tokens: Tensor
    targets: Tensor
    advantages: Tensor
    scale: Tensor
    rewards: Tensor
    mixed: Tensor
    old: Tensor | None = None
    unbanned: Tensor | None = None
    reference: Tensor | None = None
    sampled: Tensor | None = None
    failed: Tensor | None = None


Round = TypeVar("Round", bound=TensorBatch)


class Rounds(Generic[Round]):
    """A batch source that lets the policy answer ``config.prompts`` exercises a round.

    ``batch(step)`` depends on the weights at the round's first step, the exercises, the seed
    and the step, and on nothing else. A subclass says what a round is made of (``write``),
    of which kind it is, and what part of it one step takes.

    policy     the model that is trained, or the one inside it that writes
    reference  the frozen start; None: not asked
    directory  where a round's answers are kept while it lasts; None: nowhere
    autocast   the precision in which training scores answers
    fixed      batches of one length, as a compiled step wants them
    """

    kind: type[Round]
    looks_back = False  # whether a round asks for the one before it

    def __init__(
        self,
        policy: Transformer,
        tokenizer: Tokenizer,
        exercises: Sequence[Exercise],
        config: GRPOConfig | PPOConfig,
        seed: int,
        judge: Judging | None = None,
        reference: Transformer | None = None,
        directory: Path | None = None,
        autocast: Callable[[], AbstractContextManager] = nullcontext,
        fixed: bool = False,
    ) -> None:
        length = policy.config.context_length
        self.exercises = fitting(tokenizer, exercises, length, config.max_tokens)
        self.policy, self.config, self.seed = policy, config, seed
        self.judge, self.reference = judge or Judge(), reference
        self.directory, self.autocast = directory, autocast
        longest = max(len(ids) for _, ids in self.exercises)
        time = longest + config.max_tokens if fixed else 0
        self.writer = Writer(policy, tokenizer, config.max_tokens, time)
        self.banned = banned_ids(policy, tokenizer)

    def __call__(self, step: int) -> Round:
        """What step ``step`` learns from."""
        number, update = divmod(step, self.config.updates)
        needed = self.config.updates > 1 or self.looks_back
        if not (self.directory and needed):
            return self.part(self.write(number), number, update)
        path = self.directory / f"rollouts-{number:08d}.safetensors"
        if update and path.exists():
            return self.part(read_round(self.kind, path), number, update)
        batch = self.write(number)
        save_round(batch, path)
        forget_before(self.directory, self.config.updates)
        return self.part(batch, number, update)

    def write(self, number: int) -> Round:
        """Round ``number``'s answers, written and judged now."""
        raise NotImplementedError

    def part(self, batch: Round, number: int, update: int) -> Round:
        """What step ``update`` of a round takes of it: everything."""
        return batch

    def answers(self, number: int) -> tuple[Writing, np.ndarray, np.ndarray]:
        """Round ``number``'s answers, groups one after another; rewards; which failed."""
        chosen = rows_of_step(
            number, self.config.prompts, len(self.exercises), self.seed
        )
        asked = [self.exercises[i] for i in chosen for _ in range(self.config.group)]
        seed = random_number(self.seed, number, 3)
        written = self.writer([ids for _, ids in asked], seed)
        return written, *self.judge([e for e, _ in asked], written.texts)

    @torch.no_grad()
    def scores(self, model: Transformer, written: Writing) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the sampled tokens, after and before bans."""
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        with self.autocast():
            parts = zip(
                written.tokens.split(16), written.targets.split(16), strict=True
            )
            found = [
                token_log_probs(model, t.to(device), g.to(device), self.banned)[:2]
                for t, g in parts
            ]
        model.train(training)
        after, before = (torch.cat(part).cpu() for part in zip(*found, strict=True))
        return after, before


class Rollouts(Rounds[RolloutBatch]):
    """Rounds for GRPO: answers compared with the others of their group."""

    kind = RolloutBatch
    config: GRPOConfig

    def write(self, number: int) -> RolloutBatch:
        """``(prompts * group, time)`` answers."""
        config = self.config
        written, rewards, failed = self.answers(number)
        lengths = (written.targets != IGNORE).sum(1)
        old = unbanned = reference = None
        in_rewards = config.variant == "rloo" and self.reference is not None
        if config.updates > 1 or in_rewards:
            old, unbanned = self.scores(self.policy, written)
        if self.reference is not None:
            reference = self.scores(self.reference, written)[0]
        counted = rewards
        if config.variant == "rloo" and reference is not None and old is not None:
            drift = (old - reference).sum(1).numpy()
            counted = rewards - config.kl * drift
        groups = counted.reshape(-1, config.group)
        mixed = np.repeat(np.ptp(groups, axis=1) > 0, config.group)
        return RolloutBatch(
            written.tokens,
            written.targets,
            torch.from_numpy(advantages_of(groups, config.variant).ravel()),
            answer_scale(lengths, config),
            torch.from_numpy(rewards),
            torch.from_numpy(mixed.astype(np.float32)),
            old,
            unbanned,
            reference,
            written.sampled,
            torch.from_numpy(failed),
        )


def save_round(batch: TensorBatch, path: Path) -> None:
    """Write a round's answers, whole or not at all."""
    named = {f.name: getattr(batch, f.name) for f in fields(batch)}
    tensors = {k: v.contiguous() for k, v in named.items() if v is not None}
    with atomic_file(path) as handle:
        handle.write(save(tensors))


def read_round(kind: type[Round], path: Path) -> Round:
    """What :func:`save_round` wrote."""
    return kind(**load_file(path))


def forget_before(directory: Path, updates: int) -> None:
    """Remove the rounds that no checkpoint can go back to."""
    saved = [step_of(path) for path in checkpoints(directory)]
    first = min(saved, default=0) // updates
    for path in directory.glob("rollouts-*.safetensors"):
        if int(path.stem.removeprefix("rollouts-")) < first - 1:
            path.unlink()
