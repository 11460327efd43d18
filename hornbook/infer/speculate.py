"""Speculative decoding: guess the next tokens cheaply, check them all in one step.

A step of a small batch reads every weight whether it adds one token or five, so checking
five guesses costs hardly more than writing one token (arXiv 2211.17192). Which token comes
is decided as ever: by its own logits and its own draw, which depends on the seed and the
token's number alone (sampling.py). A guess counts if it is that token. So the text is the
same, token for token, as without guesses, at any temperature; only the time differs.
"""

from typing import Any, Protocol

import torch

from hornbook.infer.decoder import Decoder
from hornbook.infer.kvcache import KVCache, Row
from hornbook.infer.pages import NoRoomError, common_prefix
from hornbook.infer.request import Sequence
from hornbook.infer.sampling import sample, uniform


class Drafter(Protocol):
    """Guesses how sequences go on."""

    def propose(self, sequence: Sequence) -> list[int]:
        """Some tokens that may follow; none when nothing comes to mind."""
        ...

    def forget(self, sequence: Sequence) -> None:
        """The sequence has ended."""
        ...


class NGramDrafter:
    """Looks for the last few tokens earlier in the text and guesses what followed there.

    Costs nothing, and is often right in code, in quotations and in answers about a text.
    """

    def __init__(self, count: int = 4, longest: int = 3):
        self.count, self.longest = count, longest

    def propose(self, sequence: Sequence) -> list[int]:
        """What came after the latest earlier place that ends alike."""
        ids = sequence.tokens
        for n in range(min(self.longest, len(ids) - 1), 0, -1):
            end = ids[-n:]
            for start in range(len(ids) - n - 1, -1, -1):
                if ids[start : start + n] == end:
                    return ids[start + n : start + n + self.count]
        return []

    def forget(self, sequence: Sequence) -> None:
        """Nothing was kept."""


class ModelDrafter:
    """A smaller model with the same tokenizer guesses, drawing as the large one will.

    Both use the same draw for the same token, so they mostly choose alike when they mostly
    agree.
    """

    def __init__(self, model: Any, tokens: int, count: int = 4, compiled: Any = None):
        weight = model.embedding.weight
        cache = KVCache(model.config, tokens, weight.dtype, weight.device)
        self.decoder = Decoder(model, cache, compiled)
        self.count = count
        self._rows: dict[int, Row] = {}

    @torch.no_grad()
    def propose(self, sequence: Sequence) -> list[int]:
        """The next tokens this model would choose; none once its context is full."""
        ids, sampling = sequence.tokens, sequence.request.sampling
        if len(ids) + self.count > self.decoder.capacity:
            return []
        guesses: list[int] = []
        try:
            logits = self._logits(sequence, ids)
            row = self._rows[id(sequence)]
            while True:
                number = len(sequence.ids) + len(guesses)
                draw = uniform(sampling.seed, sequence.request.number, number)
                guesses += sample(logits, [draw], sampling)
                if len(guesses) == self.count:
                    return guesses
                logits = self.decoder.extend([row], [guesses[-1:]])[0]
        except NoRoomError:
            return guesses

    def forget(self, sequence: Sequence) -> None:
        """Free what was kept of a sequence."""
        row = self._rows.pop(id(sequence), None)
        if row is not None:
            self.decoder.close(row)

    def _logits(self, sequence: Sequence, ids: list[int]) -> torch.Tensor:
        """The logits (1, vocab_size) after ``ids``, reading only what is new."""
        row = self._rows.get(id(sequence))
        if row is None:
            row = self._rows[id(sequence)] = self.decoder.open(ids)
        known = min(common_prefix(row.ids, ids), len(ids) - 1)
        self.decoder.truncate(row, known)
        logits = None
        while logits is None:
            logits = self.decoder.read(row, ids)
        return logits
