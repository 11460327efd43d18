"""One step as a recorded graph: on a GPU, launching kernels costs more than running them.

A graph replays the same kernels on the same memory, so tokens, positions and page tables
live in buffers of fixed shape that each step fills anew. Rows are padded to a power of two,
lengths to a power of two of pages; the padding writes to a page nobody reads. A graph is
recorded for each such shape when it is first needed. On a CPU nothing is recorded and the
same buffers go through the model as they are, which is how this file is tested.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hornbook.infer.kvcache import KVCache, Row, Window
from hornbook.infer.pages import PAGE, SCRATCH
from hornbook.model.transformer import Transformer

WARM_UP = 2  # runs before recording: libraries allocate their workspaces in the first


class GraphedStep:
    """Steps of one token per row, each shape recorded once."""

    def __init__(self, model: Transformer, cache: KVCache):
        self.model, self.cache = model, cache
        self._graphs: dict[tuple[int, int], _Graph] = {}

    def __call__(self, rows: list[Row], tokens: list[int]) -> Tensor:
        """Logits (rows, 1, vocab_size) after one more token of each row.

        Pages must be reserved; the caller notes the tokens afterwards.
        """
        tables = torch.from_numpy(self.cache.tables(rows))
        longest = max(len(row.ids) for row in rows) + 1
        shape = (_power(len(rows)), _power(-(-longest // PAGE)))
        if shape not in self._graphs:
            self._graphs[shape] = _Graph(self.model, self.cache, *shape)
        positions = torch.tensor([len(row.ids) for row in rows])
        return self._graphs[shape].run(torch.tensor(tokens), positions, tables)


class _Graph:
    """Buffers of one shape, and what turns them into logits."""

    def __init__(self, model: Transformer, cache: KVCache, rows: int, pages: int):
        device = cache.device
        self.model, self.cache = model, cache
        self.tokens = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        self.positions = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        self.tables = torch.full((rows, pages), SCRATCH, device=device)
        self.replay: Callable[[], Tensor] = (
            self._recorded() if device.type == "cuda" else self._compute
        )

    def run(self, tokens: Tensor, positions: Tensor, tables: Tensor) -> Tensor:
        """Fill the buffers and replay; logits (rows given, 1, vocab_size)."""
        count = len(tokens)
        pages = min(tables.shape[1], self.tables.shape[1])
        self.tokens[:count, 0] = tokens.to(self.tokens.device)
        self.positions.zero_()
        self.positions[:count, 0] = positions.to(self.positions.device)
        self.tables.fill_(SCRATCH)
        self.tables[:count, :pages] = tables[:, :pages].to(self.tables.device)
        return self.replay()[:count].clone()

    def _compute(self) -> Tensor:
        length = min(self.tables.shape[1] * PAGE, self.model.config.context_length)
        window = Window(self.cache, self.tables, self.positions, length)
        return self.model.unembed(self.model.hidden(self.tokens, cache=window)).float()

    def _recorded(self) -> Callable[[], Tensor]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._compute()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._compute()

        def replay() -> Tensor:
            graph.replay()
            return logits

        return replay


def _power(count: int) -> int:
    """The least power of two that is not below ``count``."""
    return 1 << (count - 1).bit_length()
