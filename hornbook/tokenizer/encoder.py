"""The fast encoder: the arrays the kernels of ``kernels/encode.py`` work on.

A vocabulary's arrays are built once and shared; each thread has a cache of its own, which
starts at 8 MB, doubles to 64 MB at most (and as much beside it for long pieces) and is then
emptied, so memory is bounded.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hornbook.core.errors import UserError
from hornbook.tokenizer.kernels import encode as kernels
from hornbook.tokenizer.kernels import merge
from hornbook.tokenizer.kernels.cuts import JOINED_BITS
from hornbook.tokenizer.kernels.jit import addresses
from hornbook.tokenizer.kernels.scan import RULES, WHOLE
from hornbook.tokenizer.kernels.slots import MIX_1, empty_table, rehash
from hornbook.tokenizer.pretokenize import split
from hornbook.tokenizer.texts import FRONT, groups, joined, one_buffer
from hornbook.tokenizer.unicode import classes_for

if TYPE_CHECKING:
    from hornbook.tokenizer.bpe import Vocabulary

MAX_ROOM = 1 << 24  # bytes of long pieces and ids of many-token pieces a cache may hold
PART = 1 << 20  # bytes: longer texts are cut where every pattern splits
CUT_HERE = re.compile(rb"\n(?=[A-Za-z0-9])")


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
        self._out = np.empty(0, np.int32)
        self._place = np.array([[FRONT], [FRONT], [0]], np.int64)
        self._scratch = np.empty(kernels.ROWS * kernels.COLUMNS, np.uint64)
        self._work = np.empty(4 * (merge.EDGE + 1), np.uint32)
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
        # slots, bytes of seen, ids of spill; then two settings: rule, bits
        self.used = np.zeros(5, np.int64)
        self._bind()

    def _bind(self) -> None:
        """Everything the kernel works on, as one argument."""
        a = self.arrays
        self.used[3:] = self.rule, self.bits
        self._state = addresses(
            *(self.classes, self.table, self.seen, self.spill, self.used),
            *(a.byte_ids, a.byte_ranks, a.pairs, a.made, a.joined, a.glued),
            *(self._scratch, self._work),
        )

    def _make_room(self) -> None:
        """Double what is full; at the size limit, start afresh."""
        crowded = (self.used[0] + kernels.BATCH) * 2 > 1 << self.bits
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

    def encode(self, text: bytes) -> np.ndarray:
        """Ids of one valid UTF-8 text, ``(tokens,)`` int32."""
        if self.rule == WHOLE or len(text) > 2 * PART:
            parts = [
                self.encode_group(group)[0].copy() for group in groups(self.parts(text))
            ]
            return np.concatenate([np.empty(0, np.int32), *parts])
        self._place[1, 0] = FRONT + len(text)
        out = np.empty(len(text) + 8, np.int32)
        return out[: self._run(one_buffer(text), self._place, out)]

    def _run(self, buffer: np.ndarray, places: np.ndarray, out: np.ndarray) -> int:
        """Encode the texts of a buffer into ``out``; returns the number of ids."""
        text = at = o = 0
        while True:
            o, text, at = kernels.encode_texts(
                buffer, places, text, at, out, o, self._state
            )
            if text == places.shape[1]:
                return o
            self._make_room()

    def parts(self, text: bytes) -> Iterator[bytes]:
        """Cut a text where its pieces end: into parts of a megabyte, or into its pieces."""
        if self.rule == WHOLE:
            yield from (piece.encode() for piece in split(text.decode(), self.pattern))
            return
        at = 0
        while at < len(text):
            cut = CUT_HERE.search(text, at + PART) if len(text) > 2 * PART else None
            end = cut.end() if cut else len(text)
            yield text[at:end]
            at = end

    def encode_group(self, texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """(ids, ends) of texts: ids end to end, and where each text's end.

        Both are valid until the next call.
        """
        buffer, places = joined(texts)
        if len(self._out) < len(buffer):
            self._out = np.empty(len(buffer) * 5 // 4, np.int32)
        o = self._run(buffer, places, self._out)
        return self._out[:o], places[2]


def encode_parts(
    encoders: list[Encoder], parts: list[bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """(ids, offsets) of many parts, a thread per encoder: part ``i`` ends at offset i + 1."""
    work = list(groups(parts))
    ids: list[np.ndarray] = [np.empty(0, np.int32)] * len(work)
    ends: list[np.ndarray] = [np.empty(0, np.int64)] * len(work)
    todo = iter(range(len(work)))  # shared: each group is taken once

    def run(encoder: Encoder) -> None:
        for number in todo:
            found, stops = encoder.encode_group(work[number])
            ids[number], ends[number] = found.copy(), stops

    if len(encoders) == 1 or len(work) == 1:
        run(encoders[0])
    else:
        with ThreadPoolExecutor(len(encoders)) as pool:
            list(pool.map(run, encoders))
    before = np.cumsum([0, *map(len, ids)])
    shifted = [stops + base for stops, base in zip(ends, before, strict=False)]
    return (
        np.concatenate([np.empty(0, np.int32), *ids]),
        np.concatenate([np.zeros(1, np.int64), *shifted]),
    )
