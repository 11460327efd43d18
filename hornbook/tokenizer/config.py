"""Settings of the tokenizer room."""

from typing import Literal

from hornbook.core.settings import Count, NonNegative, Settings


class TokenizerConfig(Settings, frozen=True):
    """Which tokenizer to train.

    ``vocab_size`` counts everything: bytes, merges and special tokens. Character, word and byte
    tokenizers derive their own size; for ``word`` it is the upper limit. ``pattern`` names a
    published split pattern or is a regular expression. ``max_bytes`` trains on a fair sample
    of about that size; 0 is everything.
    """

    kind: Literal["bpe", "char", "word", "byte"] = "bpe"
    vocab_size: Count = 4096
    pattern: str = "gpt4"  # gpt2, gpt4, llama3, o200k
    max_bytes: NonNegative = 0
