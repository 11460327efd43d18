"""What every tokenizer offers, and the special tokens.

A special token is a mark that only our own code writes: the end of a document, whose turn
it is in a chat. :meth:`Tokenizer.encode` never yields one, whatever the text spells, so no
text can end a document or speak as the system. Their ids come from
:attr:`Tokenizer.special`, by name.
"""

import codecs
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

SPECIAL_TOKENS = (
    "<|endoftext|>",  # between documents
    "<|pad|>",  # fills a batch; only the batcher writes it
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<|end|>",  # the end of one turn
)
PAD_TO = 64  # matrices whose size is a multiple of 64 are faster on a GPU


def padded_size(size: int) -> int:
    """``size`` rounded up to a multiple of 64."""
    return -(-size // PAD_TO) * PAD_TO


def usable_cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@dataclass(frozen=True)
class Batch:
    """The ids of many texts end to end: text ``i`` is ``ids[offsets[i]:offsets[i + 1]]``."""

    ids: np.ndarray  # (tokens,) int32
    offsets: np.ndarray  # (texts + 1,) int64

    def split(self) -> list[np.ndarray]:
        """One array (a view) per text."""
        edges = self.offsets.tolist()
        return [self.ids[a:b] for a, b in pairwise(edges)]


class Tokenizer(ABC):
    """Text to ids and back.

    ``vocab_size`` counts everything including padding ids, which decode to nothing;
    ``tokens`` holds the bytes of every ordinary token and the name of every special one.
    """

    kind: str
    pattern: str
    special: dict[str, int]
    vocab_size: int
    tokens: list[bytes]
    unknown: int | None = (
        None  # id for what the vocabulary lacks, where it can lack things
    )

    @abstractmethod
    def encode_array(self, text: str | bytes) -> np.ndarray:
        """Ids of ``text``, ``(tokens,)`` int32; never a special one.

        In a ``str``, a lone surrogate counts as U+FFFD. In ``bytes``, each byte that is not
        valid UTF-8 is a token of its own, so that decoding gives the same bytes again.
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json`` into ``directory``."""

    def encode(self, text: str | bytes) -> list[int]:
        """Ids of ``text``; never a special one."""
        return self.encode_array(text).tolist()

    def encode_batch(self, texts: Iterable[str | bytes], threads: int = 0) -> Batch:
        """Ids of many texts in one array; ``threads`` 0 means all cores."""
        del threads
        arrays = [self.encode_array(text) for text in texts]
        offsets = np.cumsum([0, *map(len, arrays)])
        return Batch(np.concatenate([np.empty(0, np.int32), *arrays]), offsets)

    def encode_many(
        self, texts: Iterable[str | bytes], threads: int = 0
    ) -> list[np.ndarray]:
        """One int32 array of ids per text."""
        return self.encode_batch(texts, threads).split()

    def encode_with_offsets(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids, and for each the characters ``(start, stop)`` of ``text`` it covers.

        A character that is split between tokens belongs to each of them.
        """
        ids = self.encode_array(text)
        ends = np.cumsum([len(self.token_bytes(token)) for token in ids.tolist()])
        data = np.frombuffer(text.encode(), np.uint8)
        if self.unknown is not None:
            ends = np.cumsum(self.piece_lengths(text))
        char_of_byte = np.cumsum((data & 0xC0) != 0x80)  # counts from 1
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        if not len(ids):
            return ids, np.empty((0, 2), np.int64)
        return ids, np.stack([char_of_byte[starts] - 1, char_of_byte[ends - 1]], axis=1)

    def piece_lengths(self, text: str) -> list[int]:
        """Bytes of ``text`` behind each id, for vocabularies that can lack a piece."""
        raise NotImplementedError

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one token, the name of a special one, nothing for padding ids.

        Raises IndexError for an id outside the vocabulary.
        """
        if not 0 <= token < self.vocab_size:
            raise IndexError(f"the id {token} lies outside the vocabulary")
        return self.tokens[token] if token < len(self.tokens) else b""

    def decode_bytes(self, ids: Sequence[int] | np.ndarray) -> bytes:
        """The bytes that ``ids`` stand for; IndexError for an id outside the vocabulary."""
        ids = ids.tolist() if isinstance(ids, np.ndarray) else ids
        return b"".join([self.token_bytes(token) for token in ids])

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of ``ids``; bytes that are not valid UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def stream_decoder(self) -> "StreamDecoder":
        """Decode ids one by one as a model writes them."""
        return StreamDecoder(self)


class StreamDecoder:
    """Decodes token by token and never gives half a character.

    All that :meth:`push` and :meth:`flush` return, joined, is ``decode`` of all ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._token_bytes = tokenizer.token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The characters that ``token`` completes; often none inside an emoji."""
        return self._decoder.decode(self._token_bytes(token))

    def flush(self) -> str:
        """What an unfinished character at the very end decodes to."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


def load_tokenizer(directory: Path) -> Tokenizer:
    """Read a tokenizer's directory; raises :class:`UserError` for missing or damaged files."""
    from hornbook.tokenizer.huggingface import load_directory

    return load_directory(directory)
