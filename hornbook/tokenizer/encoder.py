"""The fast encoder: the arrays the kernels of ``kernels/encode.py`` work on.

A vocabulary's arrays are built once and shared; each thread has a cache of its own, which
starts at 8 MB, doubles to 64 MB at most (and as much beside it for long pieces) and is then
emptied, so memory is bounded.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hornbook.core.errors import UserError
from hornbook.tokenizer.kernels import ahead, merge, pieces, scanners
from hornbook.tokenizer.kernels import encode as kernels
from hornbook.tokenizer.kernels.cuts import JOINED_BITS
from hornbook.tokenizer.kernels.jit import addresses, point, uncollected
from hornbook.tokenizer.kernels.scan import RULES, WHOLE
from hornbook.tokenizer.kernels.scanners import scanner
from hornbook.tokenizer.kernels.slots import MIX_1, empty_table, rehash
from hornbook.tokenizer.kernels.utf8 import is_utf8
from hornbook.tokenizer.texts import AFTER, BEFORE, FRONT, PAD, all_bytes, joined
from hornbook.tokenizer.unicode import classes_for

if TYPE_CHECKING:
    from hornbook.tokenizer.bpe import Vocabulary

MAX_ROOM = 1 << 24  # bytes of long pieces and ids of many-token pieces a cache may hold
SHORT_TEXT = 2048  # bytes: up to here a text is copied to one fixed place


def compile_kernels(pattern: str) -> None:
    """Compile what encoding needs, the scanner in a process beside this one."""
    rule = str(RULES.get(pattern, WHOLE))
    ahead.start(rule)
    ahead.wait("encoding")  # training has begun it
    with uncollected:
        ahead.compile_unit("encoding")
    ahead.wait(rule)


class VocabularyArrays:
    """A vocabulary as the kernels read it."""

    def __init__(self, vocabulary: "Vocabulary") -> None:
        pairs = np.array(vocabulary.pairs, np.uint32).reshape(-1, 2)
        if len(vocabulary.tokens) >= merge.MAX_TOKENS or len(pairs) >= 1 << 24:
            raise UserError(
                f"The vocabulary has {len(vocabulary.tokens)} ids; "
                f"{merge.MAX_TOKENS - 1} is the most that can be encoded."
            )
        self.byte_ids = np.array(vocabulary.byte_ids, np.uint32)
        self.made = np.array(vocabulary.made, np.uint32)
        self.pairs = self._pair_table(pairs)
        self.byte_ranks = self._byte_ranks(pairs, len(vocabulary.tokens))
        self.joined, self.glued = boundaries_inside(vocabulary.tokens)

    @staticmethod
    def _pair_table(pairs: np.ndarray) -> np.ndarray:
        bits = max(10, (2 * len(pairs)).bit_length())
        left, right = (
            np.ascontiguousarray(pairs[:, 0]),
            np.ascontiguousarray(pairs[:, 1]),
        )
        while True:
            table = np.full(1 << bits, merge.NONE, np.uint64)
            if merge.fill_pairs(table, left, right):
                return table
            bits += 1

    def _byte_ranks(self, pairs: np.ndarray, n_tokens: int) -> np.ndarray:
        byte_of = np.full(n_tokens, -1, np.int64)
        byte_of[self.byte_ids] = np.arange(256)
        left, right = byte_of[pairs[:, 0]], byte_of[pairs[:, 1]]
        ranks = np.flatnonzero((left >= 0) & (right >= 0))[::-1]  # the first rank stays
        table = np.full(1 << 16, merge.NEVER, np.uint32)
        table[left[ranks] << 8 | right[ranks]] = ranks
        return table


def boundaries_inside(tokens: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(joined, glued): which neighbours occur inside tokens, for ``next_cut``.

    Pairs of characters inside tokens of whole characters, as a bit set (a hash, so it may
    say yes too often), and pairs of bytes around a character's start in all other tokens.
    """
    firsts, seconds = [], []
    glued = np.zeros(1 << 16, np.uint8)
    for token in tokens:
        try:
            text = token.decode()
            firsts.append(text[:-1])
            seconds.append(text[1:])
        except UnicodeDecodeError:
            for a, b in pairwise(token):
                if b & 0xC0 != 0x80:
                    glued[a << 8 | b] = 1
    first, second = (
        np.frombuffer("".join(side).encode("utf-32-le"), np.uint32).astype(np.uint64)
        for side in (firsts, seconds)
    )
    bits = ((first << np.uint64(21) | second) * MIX_1) >> np.uint64(64 - JOINED_BITS)
    is_joined = np.zeros(1 << JOINED_BITS, np.bool_)
    is_joined[bits] = True
    return np.packbits(is_joined, bitorder="little"), glued


class Ids:
    """An int32 array that grows at its end; pages it never reaches cost no memory."""

    def __init__(self, expected: int) -> None:
        self.array = np.empty(expected, np.int32)
        self.used = 0

    def reserve(self, more: int) -> None:
        """Make room for ``more`` ids after the ``used`` ones."""
        if self.used + more > len(self.array):
            larger = np.empty(self.used + more + len(self.array), np.int32)
            larger[: self.used] = self.array[: self.used]
            self.array = larger


class Encoder:
    """Encodes with one cache; not for two threads at once (:meth:`fork` for that)."""

    def __init__(
        self,
        arrays: VocabularyArrays,
        pattern: str,
        bits: int = 18,
        max_bits: int = 21,
        room: int = 4 * kernels.ROOM,
    ) -> None:
        self.arrays, self.pattern = arrays, pattern
        self.rule, self.classes = RULES.get(pattern, WHOLE), classes_for(pattern)
        self._first_bits, self._max_bits, self._room = bits, max_bits, room
        self._scanner = scanner(self.rule)
        self._cursor = np.array([0, 0, 0, 0, self._scanner.address], np.int64)
        self._progress = np.zeros(5, np.int64)
        self._ends = np.empty(pieces.BATCH, np.uint64)
        self._scratch = np.empty((pieces.ROWS, pieces.COLUMNS), np.uint64)
        self._work = np.empty((pieces.LANES, 4, merge.EDGE + 1), np.uint32)
        self._text = bytearray(BEFORE + bytes(SHORT_TEXT + PAD))
        self._stop = np.array([FRONT, FRONT, 0], np.int64)
        self._stop_view = memoryview(self._stop)  # type: ignore[arg-type]
        self._text_view = memoryview(self._text)
        self._ids = np.empty(SHORT_TEXT + 8, np.int32)
        self._ids_view = memoryview(self._ids)  # type: ignore[arg-type]
        self.clear()

    def fork(self) -> "Encoder":
        """Another encoder for the same vocabulary with a cache of its own."""
        return Encoder(
            self.arrays, self.pattern, self._first_bits, self._max_bits, self._room
        )

    def clear(self) -> None:
        """Forget every piece met so far."""
        self.bits = self._first_bits
        self.table = empty_table(self.bits)
        self.seen = np.empty(self._room, np.uint8)
        self.spill = np.empty(self._room, np.uint32)
        self.used = np.zeros(4, np.int64)  # slots, bytes of seen, ids of spill; bits
        self._bind()

    def _bind(self) -> None:
        """Everything the kernel works on: one state for short texts, one for groups."""
        a = self.arrays
        self.used[3] = self.bits
        self._short_state = addresses(
            *(np.frombuffer(self._text, np.uint8), self.classes, self._ends),
            *(self._cursor, self._stop, self._ids, self.table, self.seen),
            *(self.spill, self.used, self._progress, a.byte_ids, a.byte_ranks),
            *(a.pairs, a.made, a.joined, a.glued, self._scratch, self._work),
        )
        self._short_address = self._short_state.ctypes.data

    def _help(self, what: int, address: int) -> None:
        """Do what the kernel can't."""
        if what == kernels.LONG_PIECE:
            size = int(self._progress[kernels.PART_END] - self._progress[kernels.AT])
            marks, links = np.empty((2, size), np.uint32), np.empty((2, size), np.int32)
            heap = np.empty(2 * size + 8, np.uint64)
            kernels.encode_long(address, marks, links, heap)
        else:
            self._make_room()

    def _make_room(self) -> None:
        """Double what is full; at the size limit, start afresh."""
        crowded = (self.used[0] + pieces.BATCH) * 2 > 1 << self.bits
        limit = max(self._room, MAX_ROOM)
        if (crowded and self.bits >= self._max_bits) or self.used[1:3].max() > limit:
            self.table[:] = 0
            self.used[:3] = 0
        elif crowded:
            larger = empty_table(self.bits + 1)
            rehash(self.table, self.bits, larger, self.bits + 1)
            self.table, self.bits = larger, self.bits + 1
        if self.used[1] + kernels.ROOM > len(self.seen):
            self.seen = np.concatenate([self.seen, np.empty_like(self.seen)])
        if self.used[2] + kernels.ROOM > len(self.spill):
            self.spill = np.concatenate([self.spill, np.empty_like(self.spill)])
        self._bind()

    def encode_short(self, text: bytes) -> list[int]:
        """Ids of at most SHORT_TEXT bytes of UTF-8.

        Through views of memory, for an array's own methods take longer than the kernel.
        """
        stop = FRONT + len(text)
        self._text_view[FRONT : stop + PAD] = text + AFTER
        self._stop_view[1] = stop
        o = kernels.encode_texts(self._short_address)
        while o < 0:
            self._help(o, self._short_address)
            o = kernels.encode_texts(self._short_address)
        return self._ids_view[:o].tolist()

    def encode_group(
        self, texts: Sequence[str | bytes | memoryview], ids: Ids
    ) -> np.ndarray:
        """Append the ids of ``texts`` to ``ids``; returns where the ids of each end.

        Raises UnicodeError for bytes that are not UTF-8.
        """
        buffer, places = joined(all_bytes(texts))
        if set(map(type, texts)) != {str} and not is_utf8(
            buffer, FRONT, len(buffer) - PAD
        ):
            raise UnicodeError("bytes among the texts are not UTF-8")
        ids.reserve(len(buffer))
        state = self._short_state.copy()
        point(state, scanners.BUFFER, buffer)
        point(state, pieces.PLACES, places, ids.array)
        self._progress[kernels.FOUND] = ids.used
        o = kernels.encode_texts(state.ctypes.data)
        while o < 0:
            self._help(o, state.ctypes.data)
            cache_rows = slice(pieces.TABLE, pieces.USED)
            state[cache_rows] = self._short_state[cache_rows]
            o = kernels.encode_texts(state.ctypes.data)
        ids.used = o
        return places[2]
