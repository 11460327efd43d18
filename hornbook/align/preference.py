"""Pairs of answers as tensors, with what a frozen reference model thinks of them.

The reference's log-probabilities are computed once, before training, and kept with the
pairs. Pairs are padded to one length on the right, where causal attention can't see. What
is minimised on them stands in losses.py.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save
from torch import Tensor

from hornbook.align.losses import PreferenceBatch
from hornbook.align.messages import Message, Preference, assistant
from hornbook.align.order import rows_of_step
from hornbook.align.scoring import log_probs
from hornbook.align.sft import PAD, shifted
from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file
from hornbook.core.progress import Progress
from hornbook.data.batch import IGNORE
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.chat import render_chat

LENGTH_STEP = 16  # rows are padded to a multiple of this, as matrix kernels like it


@dataclass(frozen=True)
class PreferencePairs:
    """All pairs of a split as arrays, shaped as in :class:`PreferenceBatch`.

    ``reference`` is None until :func:`with_reference` has filled it in.
    """

    tokens: np.ndarray
    targets: np.ndarray
    reference: np.ndarray | None = None
    desirable: np.ndarray | None = None
    too_long: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> np.ndarray:
        """Answer tokens (pairs, 2), the closing ``<|end|>`` included."""
        return (self.targets != IGNORE).sum(-1)

    def batch(
        self,
        rows: np.ndarray | slice,
        reference: Tensor | None = None,
        trim: bool = True,
    ) -> PreferenceBatch:
        """The chosen pairs as tensors; ``reference`` (pairs, 2) where it isn't stored."""
        if reference is None:
            if self.reference is None:
                raise ValueError("these pairs have no reference yet: with_reference")
            reference = torch.from_numpy(self.reference[rows])
        desirable = self.desirable
        return PreferenceBatch(
            *self.texts(rows, trim),
            reference,
            None if desirable is None else torch.from_numpy(desirable[rows]),
        )

    def texts(
        self, rows: np.ndarray | slice, trim: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Tokens and targets of the chosen pairs; ``trim`` cuts padding all of them have."""
        parts = (self.tokens[rows], self.targets[rows])
        if trim and len(parts[0]):
            answers = (parts[1] != IGNORE).any(axis=(0, 1))
            longest = int(answers.nonzero()[0].max(initial=0)) + 1
            time = -(-longest // LENGTH_STEP) * LENGTH_STEP
            parts = tuple(part[..., :time] for part in parts)
        tokens, targets = (torch.from_numpy(p.astype(np.int64)) for p in parts)
        return tokens, targets


def encode_pairs(
    preferences: Sequence[Preference], tokenizer: Tokenizer, context_length: int
) -> PreferencePairs:
    """Encode and pad pairs; one of which either side is too long is left out and counted."""
    triples = [(p.prompt, p.chosen, p.rejected) for p in preferences]
    return _encode(triples, tokenizer, context_length)[0]


def encode_labelled(
    preferences: Sequence[Preference], tokenizer: Tokenizer, context_length: int
) -> PreferencePairs:
    """Every answer by itself with a label, for losses that need no pairs (KTO).

    In place of the rejected answer stands another prompt's answer: on such unrelated
    answers the loss measures how far the policy has drifted from its reference.
    """
    answers = [
        (p.prompt, text, good)
        for p in preferences
        for text, good in ((p.chosen, True), (p.rejected, False))
    ]
    unrelated = [*answers[2:], *answers[:2]]
    triples = [(a[0], a[1], u[1]) for a, u in zip(answers, unrelated, strict=True)]
    labels = [good for _, _, good in answers]
    pairs, kept = _encode(triples, tokenizer, context_length)
    return replace(pairs, desirable=np.array(labels)[kept])


def _encode(
    triples: Sequence[tuple[list[Message], str, str]],
    tokenizer: Tokenizer,
    context_length: int,
) -> tuple[PreferencePairs, list[int]]:
    """Prompts with two answers each as padded arrays, and the indices of those that fit."""
    rows, kept = [], []
    for index, (prompt, *answers) in enumerate(triples):
        first = len(render_chat(tokenizer, prompt).ids)
        sides = []
        for answer in answers:
            chat = render_chat(tokenizer, [*prompt, assistant(answer)])
            chat.mask[:first] = 0  # earlier answers belong to the prompt
            sides.append(shifted(chat))
        if max(len(tokens) for tokens, _ in sides) <= context_length:
            rows.append(sides)
            kept.append(index)
    longest = max((len(tokens) for row in rows for tokens, _ in row), default=0)
    time = min(-(-longest // LENGTH_STEP) * LENGTH_STEP, context_length)
    tokens = np.full((len(rows), 2, time), tokenizer.special[PAD], np.int32)
    targets = np.full((len(rows), 2, time), IGNORE, np.int32)
    for row, sides in enumerate(rows):
        for side, (inputs, answers) in enumerate(sides):
            tokens[row, side, : len(inputs)] = inputs
            targets[row, side, : len(inputs)] = answers
    too_long = len(triples) - len(kept)
    return PreferencePairs(tokens, targets, too_long=too_long), kept


@torch.no_grad()
def with_reference(
    pairs: PreferencePairs, model: Transformer, batch: int, device: torch.device
) -> PreferencePairs:
    """The same pairs with the log-probabilities ``model`` gives each answer.

    Run it under the precision that training will use, so that the first step's rewards
    start at zero.
    """
    was_training = model.training
    model.eval().to(device)
    found = []
    with Progress("reference", total=len(pairs), unit="pair") as progress:
        for start in range(0, len(pairs), batch):
            texts = pairs.texts(slice(start, start + batch))
            tensors = (tensor.to(device) for tensor in texts)
            found.append(log_probs(model, *tensors).cpu().numpy())
            progress.advance(len(found[-1]))
    model.train(was_training)
    reference = np.concatenate([*found, np.empty((0, 2), np.float32)])
    return replace(pairs, reference=reference.astype(np.float32))


def without_reference(pairs: PreferencePairs) -> PreferencePairs:
    """The same pairs for a loss that asks no reference."""
    return replace(pairs, reference=np.zeros((len(pairs), 2), np.float32))


def save_pairs(pairs: PreferencePairs, path: Path) -> None:
    """Write pairs and reference as safetensors; a resumed run reads exactly these numbers."""
    assert pairs.reference is not None
    arrays = {name: value for name, value in vars(pairs).items() if value is not None}
    arrays["too_long"] = np.array(pairs.too_long)
    with atomic_file(path) as handle:
        handle.write(save(arrays))


def load_pairs(path: Path) -> PreferencePairs:
    """What :func:`save_pairs` wrote."""
    if not path.is_file():
        raise UserError(f"{path} does not exist.")
    arrays: dict[str, Any] = load_file(path)
    arrays["too_long"] = int(arrays["too_long"])
    return PreferencePairs(**arrays)


@dataclass(frozen=True)
class PreferenceBatches:
    """A batch source: ``batches(step)`` depends on the pairs, the seed and the step alone.

    ``live`` is the frozen reference that scores each batch, where the pairs came without
    scores; it runs inside ``autocast()``, as training does. ``trim`` lets batches be as
    long as their longest answer, which a step compiled for one length can't have.
    """

    pairs: PreferencePairs
    batch: int
    seed: int
    live: Transformer | None = None
    autocast: Callable[[], AbstractContextManager] = nullcontext
    trim: bool = True

    def __post_init__(self) -> None:
        if not len(self.pairs):
            raise UserError(
                f"There are no preference pairs to train on: {self.pairs.too_long} were "
                "longer than 'model.context_length', and the chat data held no others."
            )

    def __call__(self, step: int) -> PreferenceBatch:
        """Step ``step``'s batch, ``(batch, 2, time)``."""
        rows = rows_of_step(step, self.batch, len(self.pairs), self.seed)
        if self.live is None:
            return self.pairs.batch(rows, None, self.trim)
        device = next(self.live.parameters()).device
        texts = (text.to(device) for text in self.pairs.texts(rows))
        with torch.no_grad(), self.autocast():
            scores = log_probs(self.live, *texts).cpu()
        return self.pairs.batch(rows, scores, self.trim)
