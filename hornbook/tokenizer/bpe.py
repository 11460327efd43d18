"""The byte-level BPE tokenizer: a vocabulary of merges, and the two ways to apply it.

Ids of a tokenizer trained here: the 256 bytes by value, the merges in the order learned,
the special tokens, padding to a multiple of 64. One read from elsewhere keeps its own ids.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from hornbook.core.errors import UserError
from hornbook.tokenizer import reference
from hornbook.tokenizer.base import SPECIAL_TOKENS, Tokenizer, padded_size
from hornbook.tokenizer.pretokenize import compile_pattern, split

Pair = tuple[int, int]
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
            tokens[token] = tokens[left] + tokens[right]
        object.__setattr__(self, "tokens", tokens)

    @classmethod
    def trained(cls, pairs: Sequence[Pair]) -> "Vocabulary":
        """Bytes by value, then merge ``i`` as token ``256 + i``."""
        return cls(range(256), pairs, range(256, 256 + len(pairs)))


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

    def encode_array(self, text: str | bytes) -> np.ndarray:
        """Ids of ``text``, ``(tokens,)`` int32; never a special one."""
        return np.array(self.encode_reference(text), np.int32)

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
        return {pair: rank for rank, pair in enumerate(pairs)}, dict(
            zip(pairs, made, strict=True)
        )

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json`` (model type BPE) and ``tokenizer_config.json``."""
        from hornbook.tokenizer.huggingface import save_bpe

        save_bpe(self, directory)


def _as_text(text: str | bytes) -> str:
    """``text`` with invalid bytes as lone surrogates; lone surrogates as U+FFFD before."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "surrogateescape")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
