"""Bits per byte: what a language model needs to write down text it has never seen.

The one measure that compares models of different tokenizers with each other, and with
compressors. A model that predicts the next token with probability p needs -log2 p bits for
it; the sum over the held-out text, divided by its length in bytes, is the result.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.batch import IGNORE, Batch
from hornbook.evaluate.intervals import bootstrap_ratio
from hornbook.evaluate.results import Result
from hornbook.infer.scoring import target_nats


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    """``total_nats / (ln 2 * n_bytes)``."""
    return total_nats / (math.log(2) * n_bytes)


def sliding_windows(
    tokens: np.ndarray, context_length: int, stride: int, batch: int = 16
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Windows over ``tokens`` in which every token but the first is predicted exactly once.

    A window is ``context_length`` tokens wide and starts ``stride`` after the one before;
    only targets that no earlier window had are scored. So each token sees at least
    ``context_length - stride`` tokens to its left (or all there are), where windows side
    by side (``stride = context_length``) give the first of each window no context at all.
    The last window is moved left to end with the text, so that all have the same shape.

    Yields (batch, places): ``places`` (batch, time) says which token of ``tokens`` each
    target is.
    """
    if not 1 <= stride <= context_length:
        raise ValueError(f"stride must be 1 to {context_length}, not {stride}")
    last = len(tokens) - 1 - context_length  # where the last window starts
    width = context_length if last >= 0 else len(tokens) - 1
    starts = [*range(0, max(last, 0), stride), max(last, 0)] if width > 0 else []
    scored = 0  # targets below this place were scored by an earlier window
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for start in starts:
        places = np.arange(start + 1, start + 1 + width)
        targets = np.where(places > scored, tokens[places], IGNORE)
        scored = start + width
        rows.append((tokens[start : start + width], targets, places))
        if len(rows) == batch:
            yield _stack(rows)
            rows = []
    if rows:
        yield _stack(rows)


def _stack(
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> tuple[Batch, np.ndarray]:
    tokens, targets, places = (
        np.stack(part).astype(np.int64) for part in zip(*rows, strict=True)
    )
    return Batch(torch.from_numpy(tokens), torch.from_numpy(targets)), places


class Encoder(Protocol):
    """What is needed of a tokenizer."""

    special: dict[str, int]

    def encode_array(self, text: str) -> np.ndarray:
        """Ids of ``text``, (tokens,)."""
        ...


@dataclass(frozen=True)
class HeldOut:
    """The cost of each held-out document: ``nats`` and ``n_bytes``, (documents,)."""

    nats: np.ndarray
    n_bytes: np.ndarray
    n_tokens: int

    @property
    def bits_per_byte(self) -> float:
        """Over all documents together."""
        return bits_per_byte(float(self.nats.sum()), int(self.n_bytes.sum()))

    def result(self, baselines: dict[str, float]) -> Result:
        """As a result, with an interval that resamples whole documents."""
        low, high = bootstrap_ratio(self.nats / math.log(2), self.n_bytes)
        return Result(
            task="held-out text",
            metric="bits per byte",
            value=self.bits_per_byte,
            n=int(self.n_bytes.sum()),
            ci95=[low, high],
            higher_is_better=False,
            baselines=baselines,
            note=f"n counts bytes of {len(self.nats)} documents, {self.n_tokens} tokens; "
            "the interval resamples documents.",
        )


def score_documents(
    model: nn.Module,
    tokenizer: Encoder,
    documents: Iterable[str],
    context_length: int,
    stride: int = 0,
    batch: int = 16,
    dtype: torch.dtype = torch.float32,
) -> HeldOut:
    """What each of ``documents`` costs the model, ``<|endoftext|>`` after it included.

    The documents are one stream, as in training: windows of ``context_length`` slide over
    it by ``stride`` (0: half the context), and every token is predicted exactly once, the
    first one from an ``<|endoftext|>`` before it. Raises :class:`UserError` for no text.
    """
    stream, owner, n_bytes = _stream(tokenizer, documents)
    if not len(n_bytes) or not n_bytes.sum():
        raise UserError(
            "There is no held-out text to evaluate on; a larger 'data.split.holdout' or "
            "more documents would give some."
        )
    nats = np.zeros(len(n_bytes))
    with Progress("bits per byte", total=len(stream) - 1, unit="tok") as progress:
        windows = sliding_windows(
            stream, context_length, stride or (context_length + 1) // 2, batch
        )
        for window, places in windows:
            cost = target_nats(model, window, dtype).numpy().astype(np.float64)
            np.add.at(nats, owner[places], cost)
            progress.advance(int(window.weight))
    return HeldOut(nats, n_bytes, len(stream) - 1)


def _stream(
    tokenizer: Encoder, documents: Iterable[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All documents' tokens in one array, which document each is of, bytes per document."""
    end = tokenizer.special["<|endoftext|>"]
    parts, owners, n_bytes = [np.array([end])], [np.array([0])], []
    for k, text in enumerate(documents):
        ids = np.append(np.asarray(tokenizer.encode_array(text)), end)
        parts.append(ids)
        owners.append(np.full(len(ids), k))
        n_bytes.append(len(text.encode("utf-8", "surrogatepass")))
    return np.concatenate(parts), np.concatenate(owners), np.array(n_bytes, dtype=int)
