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
from torch import Tensor, nn

from hornbook.align.advantages import advantages_of, answer_scale
from hornbook.align.config import GRPOConfig, PPOConfig
from hornbook.align.judge import Exercise, Judge, Judging
from hornbook.align.order import rows_of_step
from hornbook.align.sft import PAD
from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file
from hornbook.data.batch import IGNORE, TensorBatch
from hornbook.data.permutation import random_number
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Completion, Engine
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.chat import render_chat
from hornbook.train.checkpoint import checkpoints, step_of

END = "<|end|>"


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


@dataclass(frozen=True)
class Writing:
    """Answers as tensors: see :class:`RolloutBatch`; ``texts`` is what the judge reads."""

    tokens: Tensor
    targets: Tensor
    sampled: Tensor
    texts: list[str]


class Writer:
    """Lets ``model`` answer prompts.

    Rows are padded to the length ``time``, or, where that is 0, to the longest of them.
    """

    def __init__(
        self, model: Transformer, tokenizer: Tokenizer, max_tokens: int, time: int = 0
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.max_tokens, self.time = max_tokens, time

    def __call__(self, prompts: list[list[int]], seed: int) -> Writing:
        """Sample one answer to each prompt from the full distribution.

        The engine is a new one each time: what an old one has cached of a prompt could
        change the last bit, and a resumed run has no such cache.
        """
        training = self.model.training
        self.model.eval()
        engine = Engine(self.model, self.tokenizer, max_rows=32)
        sampling = SamplingConfig(
            max_tokens=self.max_tokens, temperature=1.0, seed=seed, logprobs=0
        )
        end = frozenset({self.tokenizer.special[END]})
        answers = engine.generate(prompts, sampling, end)
        self.model.train(training)
        return self._tensors(prompts, answers)

    def _tensors(self, prompts: list[list[int]], answers: list[Completion]) -> Writing:
        """Inputs and targets; an answer that ended has its ``<|end|>`` as last target."""
        special = self.tokenizer.special
        longest = max(
            len(p) + len(a.ids) for p, a in zip(prompts, answers, strict=True)
        )
        shape = (len(prompts), self.time or longest)
        tokens = torch.full(shape, special[PAD])
        targets = torch.full(shape, IGNORE)
        sampled = torch.full(shape, torch.nan)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            end = [special[END]] if answer.finish_reason == "stop" else []
            ids = torch.tensor([*prompt, *answer.ids, *end])
            tokens[row, : len(ids) - 1] = ids[:-1]
            targets[row, len(prompt) - 1 : len(ids) - 1] = ids[len(prompt) :]
            known = torch.tensor([score.logprob for score in answer.scores or ()])
            sampled[row, len(prompt) - 1 : len(prompt) - 1 + len(known)] = known
        return Writing(tokens, targets, sampled, [a.text for a in answers])


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

    def __init__(
        self,
        policy: Transformer,
        tokenizer: Tokenizer,
        exercises: Sequence[Exercise],
        config: GRPOConfig | PPOConfig,
        seed: int,
        judge: Judging | None = None,
        reference: nn.Module | None = None,
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
        if not self.directory or self.config.updates == 1:
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
    def scores(self, model: nn.Module, written: Writing) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the sampled tokens, after and before bans."""
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        with self.autocast():
            parts = zip(
                written.tokens.split(16), written.targets.split(16), strict=True
            )
            found = [
                token_log_probs(model(t.to(device)), g.to(device), self.banned)[:2]
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


def token_log_probs(
    logits: Tensor, targets: Tensor, banned: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability of every target, the same before bans, and the entropy there.

    All (answers, time), 0 where the target is ``IGNORE``. ``banned`` are the tokens that
    the engine never samples; they have no probability here either.
    """
    logits = logits.float()
    written = targets != IGNORE
    picked = logits.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    before = (picked - logits.logsumexp(-1)).detach() * written
    never = torch.tensor(sorted(banned), dtype=torch.long, device=logits.device)
    shares = logits.index_fill(-1, never, -1e9).log_softmax(-1)
    picked = shares.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    with torch.no_grad():
        entropy = -(shares.exp() * shares).sum(-1) * written
    return picked * written, before, entropy


def fitting(
    tokenizer: Tokenizer,
    exercises: Sequence[Exercise],
    context_length: int,
    max_tokens: int,
) -> list[tuple[Exercise, list[int]]]:
    """The exercises that leave room for an answer, with their prompts' ids.

    Raises :class:`UserError` when there are none.
    """
    pairs = [
        (e, render_chat(tokenizer, e.prompt, add_generation_prompt=True).ids.tolist())
        for e in exercises
    ]
    kept = [(e, ids) for e, ids in pairs if len(ids) <= context_length - max_tokens]
    if not kept:
        raise UserError(
            f"No exercise leaves room for {max_tokens} tokens in a context of "
            f"{context_length}; lower 'max_tokens'."
            if pairs
            else "There are no exercises to learn from; see 'grpo.reward' and 'grpo.path'."
        )
    return kept


def banned_ids(model: Transformer, tokenizer: Tokenizer) -> list[int]:
    """The tokens that an answer can't hold: special ones but its end, and padding."""
    engine = Engine(model, tokenizer, compiled=False)
    return sorted((engine.banned_ids | engine.stop_ids) - {tokenizer.special[END]})


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
