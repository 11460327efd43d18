"""Letting a policy write: prompts to sampled answers, as tensors that training can score."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hornbook.align.judge import Exercise
from hornbook.align.sft import PAD
from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Completion, Engine
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.chat import render_chat

END = "<|end|>"


@dataclass(frozen=True)
class Writing:
    """Answers as tensors: see rollouts.py; ``texts`` is what the judge reads."""

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
