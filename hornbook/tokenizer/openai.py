"""Reading OpenAI's vocabularies: ``.tiktoken`` files, and GPT-2's pair of files.

A ``.tiktoken`` file is lines of ``base64(bytes) rank`` in the order of merging. It holds no
merges, no split pattern and no special tokens; the latter two must be given. The pairs are
recovered by encoding each token with the merges before it: two tokens remain.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hornbook.core.errors import UserError
from hornbook.core.files import read_json
from hornbook.tokenizer.bpe import BPETokenizer, Vocabulary, check_ids
from hornbook.tokenizer.huggingface import ALPHABET, to_bytes


def read_tiktoken(
    path: Path, pattern: str, special: Mapping[str, int] | None = None
) -> BPETokenizer:
    """The tokenizer of a ``.tiktoken`` file: same ids as ``tiktoken`` with that pattern.

    ``special`` (name -> id) defaults to none. Raises :class:`UserError` naming the line.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(_lines(path), 1):
        try:
            encoded, rank = line.split()
            ranks[base64.b64decode(encoded, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            if line.strip():
                raise UserError(
                    f"{path}, line {number}: expected 'base64 rank', not {line[:40]!r}; "
                    "the file may be damaged."
                ) from None
    try:
        check_ids([*ranks.values(), *(special or {}).values()])
        return BPETokenizer(
            from_ranks(ranks), pattern, special or {}, _size(ranks, special)
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read_gpt2(
    merges: Path, encoder: Path, end_of_text: str = "<|endoftext|>"
) -> BPETokenizer:
    """GPT-2's tokenizer from ``vocab.bpe`` and ``encoder.json``."""
    ids = read_json(encoder)
    try:
        special = {name: token for name, token in ids.items() if name == end_of_text}
        check_ids(list(ids.values()))
        lines = [line.decode() for line in _lines(merges)]
        pairs = [
            line.split() for line in lines if line and not line.startswith("#version")
        ]
        vocabulary = Vocabulary(
            [ids[char] for char in ALPHABET],
            [(ids[left], ids[right]) for left, right in pairs],
            [ids[left + right] for left, right in pairs],
        )
        for name, token in ids.items():
            if name not in special and vocabulary.tokens[token] != to_bytes(name):
                raise ValueError(name)
    except UserError as error:
        raise UserError(f"{encoder}: {error}") from None
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise UserError(
            f"{merges} and {encoder} are not a pair that belongs together "
            f"({type(error).__name__}: {error})."
        ) from None
    return BPETokenizer(vocabulary, "gpt2", special, len(ids))


def from_ranks(ranks: Mapping[bytes, int]) -> Vocabulary:
    """The merges behind tiktoken's ``{token bytes: rank}``, where ranks are also ids."""
    from hornbook.tokenizer.kernels import merge

    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise UserError(f"the single byte {missing[0]:#04x} has no rank.")
    tokens = sorted(
        (token for token in ranks if len(token) != 1), key=ranks.__getitem__
    )
    ids = np.array([ranks[token] for token in tokens], np.uint32)
    byte_ids = np.array([ranks[bytes([byte])] for byte in range(256)], np.uint32)
    offsets = np.cumsum([0, *map(len, tokens)])
    blob = np.frombuffer(b"".join(tokens) + bytes(64), np.uint8)
    byte_ranks = np.full(1 << 16, merge.NEVER, np.uint32)
    table = np.full(1 << max(10, (4 * len(ids)).bit_length()), merge.NONE, np.uint64)
    pairs = np.zeros((len(ids), 2), np.uint32)
    work = np.empty((4, merge.EDGE + 1), np.uint32)
    done = merge.recover_pairs(
        blob, offsets, ids, byte_ids, byte_ranks, table, pairs, work
    )
    if done < len(ids):
        raise UserError(
            f"token {tokens[done]!r} (rank {ranks[tokens[done]]}) is not made of two "
            "tokens before it, so this is not a byte-pair vocabulary."
        )
    both = [(left, right) for left, right in pairs.tolist()]
    return Vocabulary(byte_ids.tolist(), both, ids.tolist())


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None


def _size(ranks: Mapping[bytes, int], special: Mapping[str, int] | None) -> int:
    return max(*ranks.values(), *(special or {}).values(), 0) + 1 if ranks else 0
