"""The engine: everything that generates or scores text goes through here.

Prompts are decoded together, a row of the cache each; a row whose sequence has ended
takes the next prompt at once ("continuous batching"). Reading order: :class:`Engine`,
then decoder.py, sampling.py and text.py.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from hornbook.infer.compiled import CompiledStep
from hornbook.infer.config import SamplingConfig
from hornbook.infer.decoder import Decoder
from hornbook.infer.sampling import sample, uniform
from hornbook.infer.score import score
from hornbook.infer.text import Writer
from hornbook.model.transformer import Transformer

END_OF_TEXT = "<|endoftext|>"
STOP_TOKENS = (END_OF_TEXT, "<|end|>")  # the end of a document, the end of a turn


@dataclass(frozen=True)
class Completion:
    """What the model wrote after one prompt.

    ids            the tokens chosen, without the one that ended it
    text           their text, up to the stop string if one appeared
    finish_reason  "stop": the model or a stop string ended it; "length": ``max_tokens`` did
    """

    ids: list[int]
    text: str
    finish_reason: Literal["stop", "length"]


@dataclass
class _Sequence:
    """A prompt on its way to being a :class:`Completion`."""

    number: int
    prompt: list[int]
    writer: Writer
    ids: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None

    def take(self, token: int, max_tokens: int, stop_ids: frozenset[int]) -> None:
        """Add a chosen token, or end."""
        if token in stop_ids:
            self.finish_reason = "stop"
        else:
            self.ids.append(token)
            self.pieces.append(self.writer.push(token))
            if self.writer.stopped:
                self.finish_reason = "stop"
            elif len(self.ids) == max_tokens:
                self.finish_reason = "length"
        if self.finish_reason:
            self.pieces.append(self.writer.flush())


class Engine:
    """A model and its tokenizer, ready to write and to score.

    The prompt's tokens and those written together may exceed the context: the oldest are
    then forgotten (see decoder.py). An empty prompt starts from ``<|endoftext|>``, as a
    document in training does. Special tokens that no answer holds, and ids the tokenizer
    doesn't have, are never chosen. On a CPU in float32 single steps run compiled
    (compiled.py) unless ``compiled`` is False.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Any,
        max_rows: int = 16,
        compiled: bool = True,
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.max_rows = max_rows
        self.compiled = compiled and CompiledStep.fits(model)
        special: dict[str, int] = tokenizer.special
        self.stop_ids = frozenset(special[n] for n in STOP_TOKENS if n in special)
        padding = range(tokenizer.vocab_size, model.config.vocab_size)
        self.banned_ids = {*special.values(), *padding} - self.stop_ids
        self._idle: list[Decoder] = []
        self._compiled: CompiledStep | None = None
        self._version = -1

    def generate(
        self,
        prompts: list[list[int]],
        sampling: SamplingConfig,
        stop_ids: frozenset[int] | None = None,
    ) -> list[Completion]:
        """One completion for each prompt (token ids), in order.

        A sequence ends at a token of ``stop_ids`` (None: end of text and end of turn), at
        one of ``sampling.stop`` or after ``sampling.max_tokens``.
        """
        sequences = self._sequences(prompts, sampling)
        for _ in self._run(sequences, sampling, stop_ids):
            pass
        return [
            Completion(s.ids, "".join(s.pieces), s.finish_reason or "length")
            for s in sequences
        ]

    def stream(
        self,
        prompt: list[int],
        sampling: SamplingConfig,
        stop_ids: frozenset[int] | None = None,
    ) -> Iterator[str]:
        """The completion of one prompt, piece by piece: whole characters, never empty.

        Joined, the pieces are the text that :meth:`generate` returns.
        """
        for sequence in self._run(
            self._sequences([prompt], sampling), sampling, stop_ids
        ):
            text = "".join(sequence.pieces)
            sequence.pieces.clear()
            if text:
                yield text

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        """``log p(ids[i] | ids[:i])`` in nats for ``i = 1, 2, ...`` of each sequence."""
        return score(self.model, sequences)

    def _sequences(
        self, prompts: list[list[int]], sampling: SamplingConfig
    ) -> list[_Sequence]:
        start = [self.tokenizer.special.get(END_OF_TEXT, 0)]
        return [
            _Sequence(
                number,
                list(prompt) or start,
                Writer(self.tokenizer.stream_decoder(), sampling.stop),
            )
            for number, prompt in enumerate(prompts)
        ]

    @torch.no_grad()
    def _run(
        self,
        sequences: list[_Sequence],
        sampling: SamplingConfig,
        stop_ids: frozenset[int] | None,
    ) -> Iterator[_Sequence]:
        """Advance all sequences to their end; yield each one whenever it has grown."""
        stop_ids = self.stop_ids if stop_ids is None else stop_ids
        banned = torch.tensor(sorted(self.banned_ids - stop_ids), dtype=torch.int64)

        def grow(rows: list[_Sequence], logits: Tensor) -> None:
            logits[:, banned.to(logits.device)] = -torch.inf
            draws = [uniform(sampling.seed, s.number, len(s.ids)) for s in rows]
            chosen = sample(logits, draws, sampling)
            for sequence, token in zip(rows, chosen, strict=True):
                sequence.take(token, sampling.max_tokens, stop_ids)

        waiting, live = deque(sequences), []
        with self._decoder(min(len(sequences), self.max_rows)) as decoder:
            while waiting or live:
                if waiting and len(live) < self.max_rows:
                    live.append(waiting.popleft())
                    grow(live[-1:], decoder.read(len(live) - 1, live[-1].prompt))
                    yield live[-1]
                else:
                    grow(live, decoder.step([s.ids[-1] for s in live]))
                    yield from live
                _drop_finished(live, decoder)

    @contextmanager
    def _decoder(self, rows: int) -> Iterator[Decoder]:
        """A decoder nobody else uses meanwhile; a single-row one remembers its last chat."""
        self._notice_training()
        fits = [d for d in self._idle if len(d.ids) == rows]
        decoder = fits[-1] if fits else Decoder(self.model, rows, self._compiled)
        self._idle = [d for d in self._idle if d is not decoder]
        try:
            yield decoder
        finally:
            if rows == 1:
                self._idle.append(decoder)

    def _notice_training(self) -> None:
        """Drop what was computed from weights that have changed since."""
        version = sum(parameter._version for parameter in self.model.parameters())
        if version != self._version:
            self._version = version
            self._idle.clear()
            self._compiled = CompiledStep(self.model) if self.compiled else None


def _drop_finished(live: list[_Sequence], decoder: Decoder) -> None:
    """Free the rows of ended sequences; the last live rows fill the gaps."""
    for row in reversed(range(len(live))):
        if live[row].finish_reason:
            last = live.pop()
            if row < len(live):
                live[row] = last
                decoder.move(len(live), row)
