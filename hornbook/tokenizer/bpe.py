"""The byte-level BPE tokenizer: a vocabulary of merges, and the two ways to apply it.

Ids of a tokenizer trained here: the 256 bytes by value, the merges in the order learned,
the special tokens, padding to a multiple of 64. One read from elsewhere keeps its own ids.
"""

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hornbook.core.errors import UserError
from hornbook.tokenizer import reference
from hornbook.tokenizer.base import (
    SPECIAL_TOKENS,
    Batch,
    Tokenizer,
    padded_size,
    usable_cores,
)
from hornbook.tokenizer.pretokenize import PATTERNS, compile_pattern, split
from hornbook.tokenizer.texts import as_bytes

if TYPE_CHECKING:
    from hornbook.tokenizer.decoder import Decoder
    from hornbook.tokenizer.encoder import Encoder, VocabularyArrays

Pair = tuple[int, int]
MAX_IDS = (1 << 20) - 1  # the kernels' words have 20 bits for an id
KERNEL_DECODES = 4096  # ids; fewer are quicker to join in Python
SHORT = 512  # characters, 2048 bytes at most
REFERENCE_SERVES = 10_000  # characters, before the kernels are loaded
INVALID = re.compile("([\udc80-\udcff]+)")  # what "surrogateescape" makes of bad bytes


@dataclass(frozen=True)
class Vocabulary:
    """What BPE needs to know: ids of the bytes, and pairs with what they become.

    ``pairs[i]`` merges before ``pairs[i + 1]``, and becomes the token ``made[i]``.
    """

    byte_ids: Sequence[int]
    pairs: Sequence[Pair]
    made: Sequence[int]
    tokens: list[bytes] = field(init=False)  # bytes of every id; b"" for an unused one

    def __post_init__(self) -> None:
        size = max(*self.byte_ids, *self.made, 0) + 1
        tokens = [b""] * size
        for byte, token in enumerate(self.byte_ids):
            tokens[token] = bytes([byte])
        for (left, right), token in zip(self.pairs, self.made, strict=True):
            if tokens[left] and tokens[right]:  # else another pair made it before
                tokens[token] = tokens[left] + tokens[right]
        object.__setattr__(self, "tokens", tokens)

    @classmethod
    def trained(cls, pairs: Sequence[Pair]) -> "Vocabulary":
        """Bytes by value, then merge ``i`` as token ``256 + i``."""
        return cls(range(256), pairs, range(256, 256 + len(pairs)))


def check_ids(ids: Sequence[int]) -> None:
    """Each id of a file once, and none so large that a table of them fills the memory."""
    if not all(0 <= token < MAX_IDS for token in ids):
        raise UserError(f"its ids must be from 0 to {MAX_IDS - 1}; it may be damaged.")
    if len(set(ids)) < len(ids):
        raise UserError("it gives one id to two tokens; it may be damaged.")


class BPETokenizer(Tokenizer):
    """Byte-level BPE over the pieces of a split pattern; loses no byte of any text."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        pattern: str,
        special: Mapping[str, int] | None = None,
        vocab_size: int = 0,
        kind: str = "bpe",
    ) -> None:
        compile_pattern(pattern)
        size = len(vocabulary.tokens)
        if special is None:
            special = {name: size + i for i, name in enumerate(SPECIAL_TOKENS)}
        self.kind, self.pattern, self.vocabulary = kind, pattern, vocabulary
        self._arrays: VocabularyArrays | None = None
        self._free: list[Encoder] = []
        self._decoder: Decoder | None = None
        self._compiling: threading.Thread | None = None
        self._ready = False  # whether the kernels have run
        self._short = -1  # up to so many characters a text takes the short way
        self._served = 0  # characters encoded before they had
        self.special = dict(special)
        self.tokens = list(vocabulary.tokens)
        for name, token in self.special.items():
            self.tokens.extend([b""] * (token + 1 - len(self.tokens)))
            self.tokens[token] = name.encode()
        self.vocab_size = vocab_size or padded_size(len(self.tokens))
        if self.vocab_size < len(self.tokens):
            raise UserError(
                f"The tokenizer holds {len(self.tokens)} ids, more than the vocabulary "
                f"size {self.vocab_size} it states; the file may be damaged."
            )

    def encode(self, text: str | bytes) -> list[int]:
        """Ids of ``text``; never a special one."""
        if len(text) > self._short or not isinstance(text, str):
            return self.encode_array(text).tolist()
        try:
            encoder = self._free.pop()
        except IndexError:
            encoder = self._borrow()
        ids = encoder.encode_short(as_bytes(text))
        self._free.append(encoder)
        return ids

    def encode_array(self, text: str | bytes) -> np.ndarray:
        """Ids of ``text``, ``(tokens,)`` int32; never a special one."""
        if not self._ready and self._plainly(len(text)):
            return np.array(self.encode_reference(text), np.int32)
        try:
            return self._encode([text]).ids
        except UnicodeError:
            data = (
                text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
            )
            return self._encode_invalid(bytes(data))

    def encode_batch(self, texts: Iterable[str | bytes], threads: int = 0) -> Batch:
        """Ids of many texts in one array; ``threads`` 0 means all cores."""
        texts = list(texts)
        try:
            return self._encode(texts, threads or usable_cores())
        except UnicodeError:  # some bytes are not UTF-8
            return super().encode_batch(texts)

    def _encode(self, texts: list[str | bytes], threads: int = 1) -> Batch:
        from hornbook.tokenizer.batch import encode_batch  # loads the kernels

        encoders = [self._borrow() for _ in range(threads)]
        try:
            return encode_batch(encoders, texts)
        except (KeyboardInterrupt, MemoryError):
            encoders = []  # they may be in the middle of a text
            raise
        finally:
            self._free.extend(encoders)
            self._ready = True
            self._short = SHORT if self.pattern in PATTERNS else -1

    def decode_bytes(self, ids: Sequence[int] | np.ndarray) -> bytes:
        """The bytes that ``ids`` stand for."""
        if not isinstance(ids, np.ndarray) or len(ids) < KERNEL_DECODES:
            return super().decode_bytes(ids)
        from hornbook.tokenizer.decoder import Decoder

        if self._decoder is None:
            self._decoder = Decoder(self.tokens, self.vocab_size)
        return self._decoder.decode(ids)

    def _borrow(self) -> "Encoder":
        """A free encoder, or a new one: no two threads ever share one."""
        try:
            return self._free.pop()
        except IndexError:
            from hornbook.tokenizer.encoder import (
                Encoder,
                VocabularyArrays,
                compile_kernels,
            )

            if self._arrays is None:
                compile_kernels(self.pattern)
                self._arrays = VocabularyArrays(self.vocabulary)
            return Encoder(self._arrays, self.pattern)

    def _plainly(self, size: int) -> bool:
        """Whether to encode by the readable path because the kernels aren't compiled yet.

        It serves a few thousand characters, so short programs never compile; from then
        on also every small text while the kernels are compiled beside it.
        """
        self._served += size
        if self._served <= REFERENCE_SERVES:
            return True
        if size > REFERENCE_SERVES:
            return False
        if self._compiling is None:
            self._compiling = threading.Thread(
                target=self._encode, args=([b"compile"],)
            )
            self._compiling.start()
        return self._compiling.is_alive()

    def _encode_invalid(self, data: bytes) -> np.ndarray:
        """Valid stretches as texts of their own, every other byte as one token."""
        parts = [np.empty(0, np.int32)]
        for number, stretch in enumerate(INVALID.split(_as_text(data))):
            bad = stretch.encode("utf-8", "surrogateescape")
            byte_ids = np.array(self.vocabulary.byte_ids, np.int32)
            if number % 2:
                parts.append(byte_ids[np.frombuffer(bad, np.uint8)])
            elif bad:
                parts.append(self._encode([bad]).ids)
        return np.concatenate(parts)

    def encode_reference(self, text: str | bytes) -> list[int]:
        """The same ids by the readable path of ``reference.py``, a piece at a time."""
        ids: list[int] = []
        for number, stretch in enumerate(INVALID.split(_as_text(text))):
            if number % 2:
                bad = stretch.encode("utf-8", "surrogateescape")
                ids += [self.vocabulary.byte_ids[byte] for byte in bad]
            else:
                for piece in split(stretch, self.pattern):
                    ids += self._encode_piece(piece.encode())
        return ids

    def _encode_piece(self, piece: bytes) -> list[int]:
        ranks, made = self._lookups
        byte_ids = self.vocabulary.byte_ids
        return reference.encode([byte_ids[byte] for byte in piece], ranks, made)

    @cached_property
    def _lookups(self) -> tuple[dict[Pair, int], dict[Pair, int]]:
        pairs, made = self.vocabulary.pairs, self.vocabulary.made
        ranks: dict[Pair, int] = {}
        for rank, pair in enumerate(pairs):
            ranks.setdefault(pair, rank)
        return ranks, dict(zip(pairs, made, strict=True))

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json`` (model type BPE) and ``tokenizer_config.json``."""
        from hornbook.tokenizer.huggingface import save_bpe

        save_bpe(self, directory)


def _as_text(text: str | bytes) -> str:
    """``text`` with invalid bytes as lone surrogates; lone surrogates as U+FFFD before."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "surrogateescape")
    return as_bytes(text).decode()
