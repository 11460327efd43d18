"""Counting pieces and learning merges: the state of the training kernels, and its growth."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import numpy as np

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress, console
from hornbook.tokenizer.kernels import count, learn, ranking
from hornbook.tokenizer.kernels.jit import addresses
from hornbook.tokenizer.kernels.scan import RULES, WHOLE
from hornbook.tokenizer.kernels.scanners import scanner
from hornbook.tokenizer.kernels.slots import empty_table, rehash
from hornbook.tokenizer.pretokenize import split
from hornbook.tokenizer.texts import as_bytes, groups, joined
from hornbook.tokenizer.unicode import classes_for

STEP = 512  # merges between two looks at the progress bar
MAX_BITS = (
    24  # 512 MB of slots: eight million distinct pieces; then the rarest are dropped
)


class PieceCounter:
    """How often each piece occurs, in a table that grows with the distinct pieces only.

    At ``max_bits`` it grows no more: the rarest pieces are dropped, and counted in
    ``dropped``, so memory is bounded for any corpus.
    """

    def __init__(self, pattern: str, bits: int = 16, max_bits: int = MAX_BITS) -> None:
        self.max_bits, self.dropped = max_bits, 0
        self.pattern, self.rule = pattern, RULES.get(pattern, WHOLE)
        self.classes, self._scanner = classes_for(pattern), scanner(self.rule)
        self.bits, self.table = bits, empty_table(bits)
        self.seen = np.empty(1 << 16, np.uint8)
        self.used = np.zeros(3, np.int64)  # slots, bytes of seen; bits
        self._ends = np.empty(count.COLUMNS, np.uint64)
        self._cursor = np.array([0, 0, 0, 0, self._scanner.address], np.int64)
        self._rows = np.empty((count.ROWS, count.COLUMNS), np.uint64)

    def add(self, texts: list[bytes]) -> None:
        """Count the pieces of ``texts``, valid UTF-8."""
        if self.rule == WHOLE:
            texts = [
                p.encode() for text in texts for p in split(text.decode(), self.pattern)
            ]
        buffer, places = joined(texts)
        text = at = 0
        while True:
            self.used[2] = self.bits
            state = addresses(
                *(buffer, self.classes, self._ends, self._cursor, places),
                *(self.table, self.seen, self.used, self._rows),
            )
            text, at = count.count_texts(state.ctypes.data, text, at)
            if text == len(texts):
                return
            self._reserve(count.BATCH, 2 * int(places[1, text] - at) + 64)

    def absorb(self, other: "PieceCounter") -> None:
        """Add another counter's counts to this one's."""
        self._reserve(int(other.used[0]), int(other.used[1]))
        self._take(other, least=1)
        self.dropped += other.dropped

    def _take(self, other: "PieceCounter", least: int) -> None:
        count.absorb(
            *(other.table, other.bits, other.seen, least),
            *(self.table, self.bits, self.seen, self.used),
        )

    def _drop_rarest(self) -> None:
        """Keep the more frequent half of the pieces at most."""
        counts = self.table.reshape(-1, 4)[:, 2]
        least = int(np.sort(counts[counts > 0])[self.used[0] // 2]) + 1
        kept = PieceCounter(self.pattern, self.bits, self.max_bits)
        kept.seen = np.empty_like(self.seen)
        kept._take(self, least)
        self.dropped += int(self.used[0] - kept.used[0])
        self.table, self.seen, self.used = kept.table, kept.seen, kept.used

    def _reserve(self, slots: int, size: int) -> None:
        while (self.used[0] + slots + count.BATCH) * 2 > 1 << self.bits:
            if self.bits >= self.max_bits and slots <= count.BATCH:
                self._drop_rarest()
                continue
            larger = empty_table(self.bits + 1)
            rehash(self.table, self.bits, larger, self.bits + 1)
            self.table, self.bits = larger, self.bits + 1
        if self.used[1] + size + 64 > len(self.seen):
            self.seen = np.concatenate(
                [self.seen, np.empty(len(self.seen) + size, np.uint8)]
            )

    def lay_out(self) -> np.ndarray:
        """All words of two bytes or more, end to end: ``(cells, 2)`` int32."""
        cells = np.empty(
            (count.measure(self.table, self.bits, self.seen) + 1, 2), np.int32
        )
        if len(cells) >= 1 << 31:
            raise UserError(
                "The corpus has too many distinct words; train on a sample of it."
            )
        table_bytes = self.table.view(np.uint8)
        end = count.lay_out(self.table, table_bytes, self.bits, self.seen, cells)
        cells[end:] = -1, 0
        return cells


def count_pieces(texts: Iterable[str], pattern: str, threads: int) -> PieceCounter:
    """Count the pieces of a stream of texts; only a few megabytes of it are held at once."""
    counters = [PieceCounter(pattern) for _ in range(threads)]
    with Progress("tokenizer: count", total=None, unit="B") as progress:
        if threads == 1:
            for group in groups(map(as_bytes, texts)):
                counters[0].add(group)
                progress.advance(sum(map(len, group)))
        else:
            for size in _in_threads(groups(map(as_bytes, texts)), counters):
                progress.advance(size)
    total = counters[0]
    for other in counters[1:]:
        total.absorb(other)
    if total.dropped:
        console.print(
            f"tokenizer: {total.dropped} rare pieces were dropped to bound memory; "
            "a smaller tokenizer.max_bytes would drop none."
        )
    return total


def _in_threads(
    work: Iterator[list[bytes]], counters: list[PieceCounter]
) -> Iterator[int]:
    """Hand each group to a counter that is free; yields the bytes counted."""
    with ThreadPoolExecutor(len(counters)) as pool:
        idle, busy = list(counters), dict[Future[None], tuple[PieceCounter, int]]()
        for group in work:
            if not idle:
                done, _ = wait(busy, return_when=FIRST_COMPLETED)
                for future in done:
                    counter, size = busy.pop(future)
                    future.result()
                    idle.append(counter)
                    yield size
            counter = idle.pop()
            busy[pool.submit(counter.add, group)] = counter, sum(map(len, group))
        for future, (_, size) in busy.items():
            future.result()
            yield size


def learn_merges(cells: np.ndarray, n_merges: int) -> np.ndarray:
    """The best merges of the words in ``cells``, best first: ``(merges, 2)`` int32.

    Fewer than ``n_merges`` when no two tokens stand side by side any more.
    """
    return Merger(cells, 256 + n_merges).run()


class Merger:
    """The arrays of ``kernels/learn.py``; each grows when the kernel says it is short."""

    def __init__(self, cells: np.ndarray, n_tokens: int) -> None:
        self.cells, self.n_tokens = cells.reshape(-1), n_tokens
        self.merges = np.zeros((n_tokens, 2), np.int32)
        self.sides = np.zeros((n_tokens, 8), np.int64)
        self.sides[:, learn.LENGTH] = 1
        self.touched = np.empty((2, n_tokens), np.int32)
        self.pairs = np.empty(ranking.WORDS << 17, np.int64)
        self.index = np.full(1 << 18, -1, np.int32)
        self.heap = np.empty(ranking.WORDS << 16, np.int64)
        self.state = np.zeros(5, np.int64)
        self.state[ranking.N_TOKENS] = 256
        weights, times = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64)
        learn.byte_pairs(self.cells, weights, times)
        self.visits = np.empty(learn.VISIT * int(times.max()), np.int32)
        self.places = np.empty(int(times.sum()) * 5 // 4 + 1024, np.int32)
        learn.first_pairs(
            *(self.cells, weights, times, np.empty_like(times)),
            *(self.pairs, self.index, self.places, self.state),
        )

    def run(self) -> np.ndarray:
        """Learn all merges."""
        total = self.n_tokens - 256
        with Progress("tokenizer: merge", total=total, unit="merge") as progress:
            while (done := int(self.state[ranking.N_TOKENS])) < self.n_tokens:
                until = min(done + STEP, self.n_tokens)
                result = learn.run(
                    *(
                        self.cells,
                        self.merges.reshape(-1),
                        until,
                        self.pairs,
                        self.index,
                    ),
                    *(self.places, self.heap, self.sides.reshape(-1), self.touched),
                    *(self.visits, self.state),
                )
                progress.advance(int(self.state[ranking.N_TOKENS]) - done)
                if result == learn.EXHAUSTED:
                    break
                self._grow(result)
        return self.merges[256 : self.state[ranking.N_TOKENS]]

    def _grow(self, short: int) -> None:
        if short == learn.PAIRS_SHORT:
            fresh = 2 * int(self.state[ranking.N_TOKENS]) + 1
            room = max(len(self.pairs) // 2, fresh * ranking.WORDS)
            self.pairs = np.concatenate([self.pairs, np.empty(room, np.int64)])
            if (slots := len(self.pairs) // ranking.WORDS * 2) > len(self.index):
                self.index = np.full(1 << (slots - 1).bit_length(), -1, np.int32)
                ranking.relink(self.index, self.pairs, self.state[ranking.N_PAIRS])
        elif short == learn.PLACES_SHORT:
            size = len(self.places) // 4 + 2 * len(self.visits)
            self.places = np.concatenate([self.places, np.empty(size, np.int32)])
        elif short == learn.HEAP_SHORT:
            self.heap = np.concatenate([self.heap, np.empty_like(self.heap)])
        elif short == learn.VISITS_SHORT:
            self.visits = np.empty(2 * len(self.visits), np.int32)
