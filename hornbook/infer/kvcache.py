"""The key-value cache: what attention needs of the tokens already read.

One block of memory for all layers, allocated once. Each row holds one sequence, from its
position 0 on; the live rows are always the first ones, so that a step over them is a
slice and never a gather. What a row holds beyond its length is left over from others and
never seen: a token's mask ends at its own position.
"""

import torch
from torch import Tensor

from hornbook.model import sizes
from hornbook.model.config import ModelConfig


class KVCache:
    """Keys and values (n_layers, rows, kv heads, capacity, width), and the rows' lengths."""

    def __init__(
        self,
        config: ModelConfig,
        rows: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        heads, *widths = sizes.cache_shape(config)
        self.keys, self.values = (
            torch.zeros(
                (config.n_layers, rows, heads, capacity, width),
                dtype=dtype,
                device=device,
            )
            for width in widths
        )
        self.lengths = [0] * rows
        self.capacity = capacity

    def window(self, first: int, rows: int, time: int) -> "Window":
        """What a forward pass over ``time`` new tokens of these rows reads and writes.

        The rows grow by ``time`` tokens. Raises ValueError when they have no room.
        """
        starts = self.lengths[first : first + rows]
        longest = max(starts) + time
        if longest > self.capacity:
            raise ValueError(f"{longest} tokens exceed the capacity {self.capacity}")
        self.lengths[first : first + rows] = [start + time for start in starts]
        return Window(self, first, starts, time)

    def truncate(self, row: int, length: int) -> None:
        """Forget all but the first ``length`` tokens of a row."""
        self.lengths[row] = min(length, self.lengths[row])

    def move(self, source: int, target: int) -> None:
        """Copy a row over another one, so that the live rows stay together."""
        length = self.lengths[source]
        for memory in (self.keys, self.values):
            memory[:, target, :, :length] = memory[:, source, :, :length]
        self.lengths[target] = length


class Window:
    """A forward pass's part of a :class:`KVCache`; the model's ``cache`` argument.

    positions  (rows, time) int64: where the new tokens stand
    length     how many positions :meth:`extend` returns: up to the longest row's end
    """

    def __init__(self, cache: KVCache, first: int, starts: list[int], time: int):
        self.cache, self.time, self.starts = cache, time, starts
        self.rows = slice(first, first + len(starts))
        self.length = max(starts) + time
        device = cache.keys.device
        steps = torch.arange(time, device=device)
        self.positions = torch.tensor(starts, device=device)[:, None] + steps
        self._even = min(starts) == max(starts)

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values (rows, kv heads, time, d_head); return all so far."""
        return (
            self._store(self.cache.keys[layer, self.rows], keys),
            self._store(self.cache.values[layer, self.rows], values),
        )

    def _store(self, memory: Tensor, new: Tensor) -> Tensor:
        if self._even:
            memory[:, :, self.length - self.time : self.length] = new
        else:
            row = torch.arange(len(self.starts), device=memory.device)[:, None]
            memory[row, :, self.positions] = new.transpose(1, 2).to(memory.dtype)
        return memory[:, :, : self.length]
