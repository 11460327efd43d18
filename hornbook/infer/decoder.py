"""A model with its cache: reads prompts into rows and steps all rows by one token.

A sequence that outgrows the context is slid: its oldest quarter is forgotten and the rest
read again, so that at every moment the logits are exactly those of a full forward pass
over what is remembered, at the price of a few tokens read per token written.
"""

import torch
from torch import Tensor

from hornbook.infer.compiled import CompiledStep
from hornbook.infer.kvcache import KVCache
from hornbook.model.transformer import Transformer


class Decoder:
    """``rows`` sequences at most; the live ones are rows 0, 1, ...

    ``ids[row]`` are the tokens the cache holds of a row. A row keeps them when it is free
    again, so that a prompt that goes on from there, as a chat's does, is read from where
    it is new.
    """

    def __init__(
        self, model: Transformer, rows: int, compiled: CompiledStep | None = None
    ):
        weight = model.embedding.weight
        self.model, self.compiled = model, compiled
        self.capacity = model.config.context_length
        self.cache = KVCache(
            model.config, rows, self.capacity, weight.dtype, weight.device
        )
        self.ids: list[list[int]] = [[] for _ in range(rows)]

    def read(self, row: int, ids: list[int]) -> Tensor:
        """Make ``row`` hold ``ids``; return the logits (1, vocab_size) that follow.

        Of more tokens than fit, the newest three quarters of the context are read.
        """
        ids = self.remembered(ids)
        known = min(common_prefix(self.ids[row], ids), len(ids) - 1)
        self.cache.truncate(row, known)
        self.ids[row] = ids[:known]
        return self._forward(row, [ids[known:]])

    def step(self, tokens: list[int]) -> Tensor:
        """Add ``tokens[row]`` to each live row; return the logits (rows, vocab_size)."""
        for row, token in enumerate(tokens):
            if len(self.ids[row]) == self.capacity:
                self.read(row, self.remembered([*self.ids[row], token])[:-1])
        if self.compiled is None:
            return self._forward(0, [[token] for token in tokens])
        logits = self.compiled(tokens, self.cache)
        self._note(0, [[token] for token in tokens])
        return logits

    def move(self, source: int, target: int) -> None:
        """Let row ``target`` hold what ``source`` holds."""
        self.cache.move(source, target)
        self.ids[target] = list(self.ids[source])

    def remembered(self, ids: list[int]) -> list[int]:
        """The tokens a prediction after ``ids`` is made from: all of them, if they fit."""
        if len(ids) <= self.capacity:
            return list(ids)
        return ids[-max(1, self.capacity - self.capacity // 4) :]

    def _forward(self, first: int, ids: list[list[int]]) -> Tensor:
        device = self.model.embedding.weight.device
        tokens = torch.tensor(ids, device=device)
        window = self.cache.window(first, *tokens.shape)
        hidden = self.model.hidden(tokens, cache=window)
        self._note(first, ids)
        return self.model.unembed(hidden[:, -1])

    def _note(self, first: int, ids: list[list[int]]) -> None:
        """Remember what was read, afterwards: a step cut short by Ctrl-C wasn't made."""
        for row, new in enumerate(ids, start=first):
            self.ids[row] += new


def common_prefix(a: list[int], b: list[int]) -> int:
    """How many tokens two sequences share at their start."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
