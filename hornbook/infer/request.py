"""What is asked of the engine and what it answers."""

from dataclasses import dataclass, field
from typing import Literal

import torch

from hornbook.infer.adapters import Adapter
from hornbook.infer.config import SamplingConfig
from hornbook.infer.grammar.guide import Guide
from hornbook.infer.text import Writer

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True)
class TokenScore:
    """How likely a chosen token was, and what else was likely.

    Natural logarithms of the model's own probabilities, before penalties and temperature.
    ``top`` maps token ids to theirs, the likeliest first.
    """

    token: int
    logprob: float
    top: dict[int, float]


@dataclass(frozen=True)
class Completion:
    """What the model wrote after one prompt.

    ids            the tokens chosen, without the one that ended it
    text           their text, up to the stop string if one appeared
    finish_reason  "stop": the model or a stop string ended it; "length": ``max_tokens``
                   did; "error": it couldn't be written, and ``error`` says why
    scores         one for each of ``ids``, if ``logprobs`` was set
    """

    ids: list[int]
    text: str
    finish_reason: FinishReason
    scores: list[TokenScore] | None = None
    error: str = ""


@dataclass(frozen=True)
class Request:
    """One completion to write.

    ``number`` tells it from others of the same seed; ``stop_ids`` end it.
    """

    prompt: list[int]
    sampling: SamplingConfig
    stop_ids: frozenset[int]
    number: int = 0
    adapter: Adapter | None = None


@dataclass(eq=False)  # compared by identity
class Sequence:
    """A request on its way to being a :class:`Completion`."""

    request: Request
    writer: Writer
    guide: Guide | None = None
    ids: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    scores: list[TokenScore] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    error: str = ""

    @property
    def tokens(self) -> list[int]:
        """The prompt and what was written after it."""
        return [*self.request.prompt, *self.ids]

    def take(self, token: int, score: TokenScore | None) -> None:
        """Add a chosen token, or end."""
        if token in self.request.stop_ids:
            self.finish_reason = "stop"
        else:
            self.ids.append(token)
            self.pieces.append(self.writer.push(token))
            if score is not None:
                self.scores.append(score)
            if self.guide is not None:
                self.guide.take(token)
            if self.writer.stopped or (self.guide is not None and self.guide.closed):
                self.finish_reason = "stop"
            elif len(self.ids) == self.request.sampling.max_tokens:
                self.finish_reason = "length"
        if self.finish_reason:
            self.pieces.append(self.writer.flush())

    def fail(self, error: str) -> None:
        """End because of ``error``."""
        self.finish_reason, self.error = "error", error

    def completion(self) -> Completion:
        """The result; what was streamed out of ``pieces`` is not in its text."""
        wanted = self.request.sampling.logprobs is not None
        return Completion(
            self.ids,
            "".join(self.pieces),
            self.finish_reason or "length",
            self.scores if wanted else None,
            self.error,
        )


def token_score(logprobs: torch.Tensor, token: int, count: int) -> TokenScore:
    """From the log-probabilities (vocab_size,) of all tokens."""
    values, ids = logprobs.topk(min(count, len(logprobs)))
    top = dict(zip(ids.tolist(), values.tolist(), strict=True))
    return TokenScore(token, float(logprobs[token]), top)
