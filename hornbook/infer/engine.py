"""The engine: everything that generates or scores text goes through here.

Reading order: :class:`Engine`, then batch.py (who writes when), decoder.py (the model and
its cache), sampling.py and text.py.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Many
from typing import Any

import torch
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.infer.adapters import Adapter
from hornbook.infer.batch import Batch
from hornbook.infer.check import refusal
from hornbook.infer.config import SamplingConfig
from hornbook.infer.cpu.compiled import CompiledStep
from hornbook.infer.decoder import Decoder
from hornbook.infer.grammar.guide import Guide, Vocabulary
from hornbook.infer.kvcache import KVCache
from hornbook.infer.memory import cache_tokens
from hornbook.infer.quant.codes import Codes
from hornbook.infer.request import Completion, Request, Sequence
from hornbook.infer.score import score
from hornbook.infer.speculate import Drafter
from hornbook.infer.text import Writer
from hornbook.model.transformer import Transformer

END_OF_TEXT = "<|endoftext|>"
STOP_TOKENS = (END_OF_TEXT, "<|end|>")  # the end of a document, the end of a turn

__all__ = ["Completion", "Engine"]


class Engine:
    """A model and its tokenizer, ready to write and to score.

    A prompt must fit the context; what is written after it may go on beyond: the oldest
    tokens are then forgotten (see decoder.py). An empty prompt starts from
    ``<|endoftext|>``, as a document in training does. Special tokens that no answer holds,
    and ids the tokenizer doesn't have, are never chosen.

    max_rows  how many sequences are written at once
    compiled  on a CPU, take single steps by cpu/ where it knows the architecture
    codes     quantized weights (quant/files.py) for those steps
    tokens    how many tokens the cache keeps; 0: what fits the memory and makes sense
    drafter   guesses ahead (speculate.py); changes the speed alone
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Any,
        max_rows: int = 32,
        compiled: bool = True,
        codes: dict[str, Codes] | None = None,
        tokens: int = 0,
        drafter: Drafter | None = None,
    ):
        self.model, self.tokenizer, self.max_rows = model, tokenizer, max_rows
        self.compiled = compiled and CompiledStep.fits(model)
        self.codes, self.tokens, self.drafter = codes, tokens, drafter
        special: dict[str, int] = tokenizer.special
        self.stop_ids = frozenset(special[n] for n in STOP_TOKENS if n in special)
        padding = range(tokenizer.vocab_size, model.config.vocab_size)
        self.banned_ids = {*special.values(), *padding} - self.stop_ids
        self._banned: dict[frozenset[int], Tensor] = {}
        self._decoder: Decoder | None = None
        self._vocabulary: Vocabulary | None = None
        self._version = -1

    def generate(
        self,
        prompts: list[list[int]],
        sampling: SamplingConfig | Many[SamplingConfig],
        stop_ids: frozenset[int] | None = None,
        adapter: Adapter | None = None,
    ) -> list[Completion]:
        """The completions of each prompt (token ids), in order: ``n`` for each.

        ``sampling`` is one for all or one for each. A sequence ends at a token of
        ``stop_ids`` (None: end of text and end of turn), at one of ``sampling.stop`` or
        after ``sampling.max_tokens``. What can't be served ends with the reason "error"
        and a sentence; the others go on.
        """
        each = (
            [sampling] * len(prompts)
            if isinstance(sampling, SamplingConfig)
            else sampling
        )
        sequences: list[Sequence] = []
        for prompt, settings in zip(prompts, each, strict=True):
            for _ in range(max(1, settings.n)):
                number = len(sequences)
                sequences.append(
                    self.sequence(prompt, settings, stop_ids, number, adapter)
                )
        for _ in self._run(sequences):
            pass
        return [sequence.completion() for sequence in sequences]

    def stream(
        self,
        prompt: list[int],
        sampling: SamplingConfig,
        stop_ids: frozenset[int] | None = None,
        adapter: Adapter | None = None,
    ) -> Iterator[str]:
        """The completion of one prompt, piece by piece: whole characters, never empty.

        Joined, the pieces are the text that :meth:`generate` returns. Raises
        :class:`UserError` for what can't be served.
        """
        sequence = self.sequence(prompt, sampling, stop_ids, adapter=adapter)
        for _ in self._run([sequence]):
            text = "".join(sequence.pieces)
            sequence.pieces.clear()
            if text:
                yield text
        if sequence.error:
            raise UserError(sequence.error)

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        """``log p(ids[i] | ids[:i])`` in nats for ``i = 1, 2, ...`` of each sequence."""
        return score(self.model, sequences)

    def batch(self) -> Batch:
        """An empty batch on this engine's cache, for who adds requests over time."""
        return Batch(
            self._fresh_decoder(), self.max_rows, self._banned_for, self.drafter
        )

    def sequence(
        self,
        prompt: list[int],
        sampling: SamplingConfig,
        stop_ids: frozenset[int] | None = None,
        number: int = 0,
        adapter: Adapter | None = None,
    ) -> Sequence:
        """A sequence to add to a :meth:`batch`; already ended if it can't be served.

        ``number`` tells apart sequences with the same seed.
        """
        start = self.tokenizer.special.get(END_OF_TEXT)
        begun = list(prompt) or ([] if start is None else [start])
        stop_ids = self.stop_ids if stop_ids is None else stop_ids
        request = Request(begun, sampling, stop_ids, number, adapter)
        writer = Writer(self.tokenizer.stream_decoder(), sampling.stop)
        sequence = Sequence(request, writer)
        config = self.model.config
        error = refusal(request, config.context_length, config.vocab_size)
        try:
            if adapter is not None:
                adapter.check(self.model)
            if not error and sampling.schema is not None:
                sequence.guide = self._guide(sampling.schema)
        except UserError as problem:
            error = str(problem)
        if error:
            sequence.fail(error)
        return sequence

    def _run(self, sequences: list[Sequence]) -> Iterator[Sequence]:
        """Advance all sequences to their end; yield each one whenever it has grown."""
        batch = self.batch()
        for sequence in sequences:
            if not sequence.finish_reason:
                batch.add(sequence)
        try:
            while batch.busy:
                yield from batch.step()
        finally:
            batch.close()

    def _guide(self, schema: dict[str, Any]) -> Guide:
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(
                self.tokenizer, self.model.config.vocab_size, self.banned_ids
            )
        return self._vocabulary.guide(schema)

    def _banned_for(self, stop_ids: frozenset[int]) -> Tensor:
        if stop_ids not in self._banned:
            self._banned[stop_ids] = torch.tensor(
                sorted(self.banned_ids - stop_ids), dtype=torch.int64
            )
        return self._banned[stop_ids]

    def _fresh_decoder(self) -> Decoder:
        """The decoder; a new one when the weights have changed, as they do in training."""
        version = sum(parameter._version for parameter in self.model.parameters())
        if self._decoder is None or version != self._version:
            self._version, weight = version, self.model.embedding.weight
            tokens = self.tokens or cache_tokens(self.model, self.max_rows)
            cache = KVCache(self.model.config, tokens, weight.dtype, weight.device)
            compiled = CompiledStep(self.model, self.codes) if self.compiled else None
            self._decoder = Decoder(self.model, cache, compiled)
        return self._decoder
