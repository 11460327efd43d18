"""Tokenizers a reader understands at once: one id per character, or one per word.

The vocabulary is what the training text held, so it is small (65 characters for the
complete Shakespeare) and incomplete: a piece it lacks becomes ``<|unk|>``, whose bytes
are lost (it decodes to U+FFFD). Byte-level tokenizers never lose anything.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hornbook.tokenizer.base import SPECIAL_TOKENS, Tokenizer, padded_size
from hornbook.tokenizer.pretokenize import split

UNKNOWN = "<|unk|>"
CHARACTER = r"[\s\S]"  # the pattern of the character tokenizer


class PieceTokenizer(Tokenizer):
    """One id per piece of the split pattern.

    Ids: the pieces in the order given, ``<|unk|>``, the special tokens, padding to a
    multiple of 64. ``<|unk|>`` is not among :attr:`special`: text can yield it.
    """

    def __init__(
        self, kind: str, pieces: Sequence[str], pattern: str = CHARACTER
    ) -> None:
        self.kind, self.pattern = kind, pattern
        self.pieces = list(pieces)
        self.unknown = len(self.pieces)
        names = (UNKNOWN, *SPECIAL_TOKENS)
        self.special = {
            name: len(self.pieces) + i
            for i, name in enumerate(names)
            if name != UNKNOWN
        }
        self.tokens = [
            piece.encode() for piece in (*self.pieces, "\ufffd", *SPECIAL_TOKENS)
        ]
        self.vocab_size = padded_size(len(self.tokens))
        self._ids = {piece: number for number, piece in enumerate(self.pieces)}

    def encode_array(self, text: str | bytes) -> np.ndarray:
        """Ids of ``text``, ``(tokens,)`` int32; invalid UTF-8 and surrogates are unknown."""
        ids, unknown = self._ids, self.unknown
        pieces = self._split(text)
        return np.array([ids.get(piece, unknown) for piece in pieces], np.int32)

    def _split(self, text: str | bytes) -> Sequence[str]:
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        return text if self.kind == "char" else split(text, self.pattern)

    def piece_lengths(self, text: str) -> list[int]:
        """Bytes of ``text`` behind each id."""
        return [len(piece.encode()) for piece in self._split(text)]

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json`` (model type WordLevel) and ``tokenizer_config.json``."""
        from hornbook.tokenizer.huggingface import save_pieces

        save_pieces(self, directory)
