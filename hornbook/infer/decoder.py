"""A model with its cache: reads prompts into rows and adds tokens to them.

A sequence that outgrows the context is slid: its oldest quarter is forgotten and the rest
read again, so that at every moment the logits are exactly those of a full forward pass
over what is remembered, at the price of a few tokens read per token written.
"""

import torch
from torch import Tensor

from hornbook.infer.adapters import Adapter, applied
from hornbook.infer.cpu.compiled import FEW, CompiledStep
from hornbook.infer.graphs import GraphedStep
from hornbook.infer.kvcache import KVCache, Row
from hornbook.infer.pages import PAGE, NoRoomError
from hornbook.model.transformer import Transformer

CHUNK = 512  # tokens of a prompt read at once; others' answers go on in between


class Decoder:
    """Many sequences at once, a :class:`Row` of the cache each."""

    def __init__(
        self, model: Transformer, cache: KVCache, compiled: CompiledStep | None = None
    ):
        self.model, self.cache, self.compiled = model, cache, compiled
        self.capacity = model.config.context_length
        self.graphs = GraphedStep(model, cache) if _on_gpu(cache) else None

    def open(self, ids: list[int], adapter: Adapter | None = None) -> Row:
        """A row for ``ids`` with what is known of them; the last is always read anew."""
        return self.cache.open(self.remembered(ids)[:-1], adapter)

    def read(self, row: Row, ids: list[int]) -> Tensor | None:
        """Read the next chunk of ``ids`` into ``row``, which holds their beginning.

        The logits (1, vocab_size) that follow, once the end is reached. Chunks end at
        multiples of their size, so what is computed doesn't depend on when it is.
        Raises :class:`~hornbook.infer.pages.NoRoomError`.
        """
        ids = self.remembered(ids)
        start = len(row.ids)
        stop = min(len(ids), (start // CHUNK + 1) * CHUNK)
        self.cache.reserve(row, stop - start)
        logits = self._forward([row], [ids[start:stop]])[0][-1:]
        return logits if stop == len(ids) else None

    def extend(self, rows: list[Row], new: list[list[int]]) -> list[Tensor]:
        """Add ``new[i]``, at most :data:`FEW` tokens, to ``rows[i]``.

        For each row the logits (new tokens, vocab_size) that follow each of them.
        Raises :class:`~hornbook.infer.pages.NoRoomError`, and then has changed nothing.
        """
        for row, ids in zip(rows, new, strict=True):
            if len(row.ids) + len(ids) > self.capacity:
                self._slide(row, ids)
            self.cache.reserve(row, len(ids))
        return self._forward(rows, new)

    def truncate(self, row: Row, length: int) -> None:
        """Take back the newest tokens of a row."""
        self.cache.truncate(row, length)

    def close(self, row: Row) -> None:
        """Free a row."""
        self.cache.close(row)

    def remembered(self, ids: list[int]) -> list[int]:
        """The tokens a prediction after ``ids`` is made from: all of them, if they fit."""
        if len(ids) <= self.capacity:
            return list(ids)
        return ids[-max(1, self.capacity - self.capacity // 4) :]

    def _slide(self, row: Row, new: list[int]) -> None:
        """Let ``row`` hold the newest three quarters of its context, ``new`` to come."""
        kept = self.remembered([*row.ids, *new])[: -len(new)]
        own = sum(page.holders == 1 for page in row.pages)
        if (own + self.cache.pages.room()) * PAGE < len(kept) + len(new):
            raise NoRoomError
        self.cache.close(row)
        while len(row.ids) < len(kept):
            self.read(row, kept)

    def _forward(self, rows: list[Row], new: list[list[int]]) -> list[Tensor]:
        """The logits of each row, of like rows in one pass."""
        result: dict[int, Tensor] = {}
        for part in self._parts(rows, new):
            some, ids = [rows[i] for i in part], [new[i] for i in part]
            if self.compiled is not None and self._compiles(some[0], ids[0]):
                wanted = [len(tokens) if len(tokens) <= FEW else 1 for tokens in ids]
                logits = self.compiled(some, ids, self.cache, wanted).split(wanted)
            else:
                with applied(self.model, some[0].adapter):
                    logits = self._torch(some, ids).unbind()
            for row, tokens in zip(some, ids, strict=True):
                self.cache.note(row, tokens)  # only now: Ctrl-C leaves no gap
            result |= zip(part, logits, strict=True)
        return [result[i] for i in range(len(rows))]

    def _compiles(self, row: Row, new: list[int]) -> bool:
        step = self.compiled
        return step is not None and len(new) <= step.most and row.adapter is None

    def _parts(self, rows: list[Row], new: list[list[int]]) -> list[list[int]]:
        """Which rows go together: of one adapter, and in PyTorch as many new tokens each."""
        groups: dict[object, list[int]] = {}
        for i, (row, ids) in enumerate(zip(rows, new, strict=True)):
            alike = self._compiles(row, ids) or len(ids)
            groups.setdefault((row.adapter, alike), []).append(i)
        return list(groups.values())

    def _torch(self, rows: list[Row], new: list[list[int]]) -> Tensor:
        """Logits (rows, new tokens each, vocab_size); of a prompt's only the last."""
        if self.graphs is not None and len(new[0]) == 1 and rows[0].adapter is None:
            return self.graphs(rows, [token for (token,) in new])
        tokens = torch.tensor(new, device=self.cache.device)
        window = self.cache.window(rows, tokens.shape[1])
        hidden = self.model.hidden(tokens, cache=window)
        if tokens.shape[1] > FEW:
            hidden = hidden[:, -1:]
        return self.model.unembed(hidden).float()


def _on_gpu(cache: KVCache) -> bool:
    return cache.device.type == "cuda"
