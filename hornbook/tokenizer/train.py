"""Train a tokenizer from a stream of texts.

Only the distinct pieces and their counts stay in memory, never the texts, so a corpus of
any size can be streamed through.
"""

from collections import Counter
from collections.abc import Iterable

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.tokenizer.base import SPECIAL_TOKENS, Tokenizer, usable_cores
from hornbook.tokenizer.bpe import BPETokenizer, Vocabulary
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.pretokenize import split
from hornbook.tokenizer.sample import sample
from hornbook.tokenizer.simple import CHARACTER, PieceTokenizer

MAX_VOCAB = 262_144
BYTES = 256


def train_tokenizer(
    config: TokenizerConfig, texts: Iterable[str], threads: int = 0
) -> Tokenizer:
    """The tokenizer that ``config`` asks for, learned from ``texts``.

    ``threads`` 0 means all cores; the result is the same whatever their number.
    Raises :class:`UserError` when the vocabulary is larger than ``texts`` can fill.
    """
    texts = sample(texts, config.max_bytes)
    if config.kind == "byte":
        return BPETokenizer(Vocabulary.trained([]), config.pattern, kind="byte")
    if config.kind == "char":
        characters = count_strings(texts, CHARACTER)
        return PieceTokenizer("char", sorted(characters))
    if config.kind == "word":
        words = count_strings(texts, config.pattern)
        room = config.vocab_size - len(SPECIAL_TOKENS) - 1
        by_count = sorted(words, key=lambda word: (-words[word], word))
        return PieceTokenizer("word", by_count[: max(room, 1)], config.pattern)
    return train_bpe(config, texts, threads)


def train_bpe(
    config: TokenizerConfig, texts: Iterable[str], threads: int = 0
) -> BPETokenizer:
    """Byte-level BPE: ``vocab_size`` less the bytes and special tokens is the merges."""
    n_merges = config.vocab_size - BYTES - len(SPECIAL_TOKENS)
    if n_merges < 0 or config.vocab_size > MAX_VOCAB:
        raise UserError(
            f"tokenizer.vocab_size is {config.vocab_size}; it must be from "
            f"{BYTES + len(SPECIAL_TOKENS)} (all bytes and special tokens) to {MAX_VOCAB}."
        )
    from hornbook.tokenizer.kernels import ahead  # loads Numba
    from hornbook.tokenizer.learn import Merger, count_pieces

    ahead.start("merging", "encoding")  # both are needed soon
    counted = count_pieces(texts, config.pattern, threads or usable_cores())
    cells = counted.lay_out()
    del counted
    merger = Merger(cells, BYTES + n_merges)
    ahead.wait("merging")
    merges = [(left, right) for left, right in merger.run().tolist()]
    if len(merges) < n_merges:
        largest = BYTES + len(SPECIAL_TOKENS) + len(merges)
        raise UserError(
            f"The corpus is too small for tokenizer.vocab_size = {config.vocab_size}: it "
            f"has only {len(merges)} pairs to merge. Set it to {largest} at most, or add text."
        )
    return BPETokenizer(Vocabulary.trained(merges), config.pattern)


def count_strings(texts: Iterable[str], pattern: str) -> Counter[str]:
    """How often each piece of the split pattern occurs."""
    pieces: Counter[str] = Counter()
    with Progress("tokenizer: count", total=None, unit="B") as progress:
        for text in texts:
            pieces.update(text if pattern == CHARACTER else split(text, pattern))
            progress.advance(len(text))
    return pieces
