"""The key-value cache: what attention needs of the tokens already read.

One block of memory for all layers, cut into pages (pages.py). A :class:`Row` is a
sequence's list of pages; a :class:`Window` is what one forward pass of the model sees. What
a page holds beyond its tokens is left over from others and never seen: a token's mask ends
at its own position.
"""

import numpy as np
import torch
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.infer.adapters import Adapter
from hornbook.infer.pages import PAGE, Page, Pages
from hornbook.model import sizes
from hornbook.model.config import ModelConfig

LINE = 64  # bytes of memory that are read at once


class Row:
    """The tokens of one sequence that the cache holds, and the pages they are in."""

    def __init__(self, root: Page, adapter: Adapter | None = None):
        self.root, self.adapter = root, adapter
        self.ids: list[int] = []
        self.pages: list[Page] = []


class KVCache:
    """Keys and values (n_layers, pages, kv heads, 16, width) of ``tokens`` tokens.

    On a CPU the system gives memory as pages are first written, so asking for much costs
    nothing until it is used. Raises :class:`UserError` when it can't be had at all.
    """

    def __init__(
        self,
        config: ModelConfig,
        tokens: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        heads, *widths = sizes.cache_shape(config)
        pages = -(-tokens // PAGE) + 1  # and the scratch page
        self.device = torch.device(device)
        shapes = [(config.n_layers, pages, heads, PAGE, width) for width in widths]
        try:
            self.keys, self.values = (_memory(s, dtype, self.device) for s in shapes)
        except (MemoryError, RuntimeError, ValueError):
            size = tokens * bytes_per_token(config, dtype)
            raise UserError(
                f"There is no memory for a cache of {tokens:,} tokens, which takes "
                f"{size / 1e9:.1f} GB; ask for fewer."
            ) from None
        self.pages = Pages(pages)

    def open(self, ids: list[int], adapter: Adapter | None = None) -> Row:
        """A row that holds as much of the start of ``ids`` as is already known.

        What one adapter computed is known to its own sequences only.
        """
        row = Row(self.pages.root(adapter), adapter)
        last = row.root
        while True:
            rest = ids[len(row.ids) : len(row.ids) + PAGE]
            found, common = last.closest(rest)
            if found is None:
                return row
            if common < PAGE:
                if self.pages.room():
                    self._copy(found, common, row, last)
                return row
            self.pages.hold(found)
            row.pages.append(found)
            row.ids += rest
            last = found

    def reserve(self, row: Row, count: int) -> None:
        """Make sure that ``row`` has pages for ``count`` more tokens.

        Raises :class:`~hornbook.infer.pages.NoRoomError` when there are none to be had.
        """
        while len(row.pages) * PAGE < len(row.ids) + count:
            last = row.pages[-1] if row.pages else row.root
            row.pages.append(self.pages.take(last))

    def note(self, row: Row, new: list[int]) -> None:
        """Remember tokens whose keys and values have been written."""
        for token in new:
            row.pages[len(row.ids) // PAGE].write(token)
            row.ids.append(token)

    def truncate(self, row: Row, length: int) -> None:
        """Forget all but the first ``length`` tokens of a row, written since it opened."""
        while len(row.pages) * PAGE >= length + PAGE:
            page = row.pages.pop()
            page.cut(0)
            self.pages.release(page)
        if row.pages:
            row.pages[-1].cut(length - (len(row.pages) - 1) * PAGE)
        del row.ids[length:]

    def close(self, row: Row) -> None:
        """Give a row's pages back; who begins alike may still find them."""
        for page in reversed(row.pages):
            self.pages.release(page)
        row.pages, row.ids = [], []

    def tables(self, rows: list[Row]) -> np.ndarray:
        """The numbers of the rows' pages, (rows, most pages) int64, 0 where there is none."""
        longest = max(len(row.pages) for row in rows)
        tables = np.zeros((len(rows), longest), np.int64)
        for place, row in enumerate(rows):
            tables[place, : len(row.pages)] = [page.number for page in row.pages]
        return tables

    def window(self, rows: list[Row], time: int) -> "Window":
        """What a forward pass over ``time`` new tokens of each row reads and writes.

        Their pages must be reserved; :meth:`note` the tokens afterwards.
        """
        starts = torch.tensor([len(row.ids) for row in rows])
        length = int(starts.max()) + time
        tables = torch.from_numpy(self.tables(rows))[:, : -(-length // PAGE)]
        positions = starts[:, None] + torch.arange(time)
        return Window(self, tables.to(self.device), positions.to(self.device), length)

    def _copy(self, source: Page, count: int, row: Row, parent: Page) -> None:
        """Give ``row`` a page with the first ``count`` tokens of ``source``."""
        tokens = source.tokens[:count]
        page = self.pages.take(parent)  # may be the very page that held them
        for memory in (self.keys, self.values):
            memory[:, page.number, :, :count] = memory[:, source.number, :, :count]
        row.pages.append(page)
        self.note(row, tokens)


class Window:
    """A forward pass's part of a :class:`KVCache`; the model's ``cache`` argument.

    positions  (rows, time) int64: where the new tokens stand
    length     how many positions :meth:`extend` returns: up to the longest row's end
    """

    def __init__(self, cache: KVCache, tables: Tensor, positions: Tensor, length: int):
        self.cache, self.positions, self.length = cache, positions, length
        self._tables = tables  # (rows, pages): the numbers of the rows' pages
        self._pages = tables.gather(1, positions // PAGE)
        self._places = positions % PAGE

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values (rows, kv heads, time, d_head); return all so far."""
        return (
            self._store(self.cache.keys[layer], keys),
            self._store(self.cache.values[layer], values),
        )

    def _store(self, memory: Tensor, new: Tensor) -> Tensor:
        memory[self._pages, :, self._places] = new.transpose(1, 2).to(memory.dtype)
        pages = memory[self._tables].transpose(1, 2)  # (rows, heads, pages, 16, width)
        return pages.flatten(2, 3)[:, :, : self.length].to(new.dtype)


def bytes_per_token(config: ModelConfig, dtype: torch.dtype) -> int:
    """What the cache keeps of one token, in all layers."""
    heads, *widths = sizes.cache_shape(config)
    return config.n_layers * heads * sum(widths) * dtype.itemsize


def _memory(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if device.type != "cpu" or not all(shape):  # latent attention has no values
        return torch.zeros(shape, dtype=dtype, device=device)
    count = int(np.prod(shape, dtype=object)) * dtype.itemsize
    memory = np.zeros(count + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return torch.from_numpy(memory[start : start + count]).view(dtype).view(shape)
