"""The vocabulary that bench/tokenizer.py learns, in the libraries it compares with."""

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizer_timing import PATTERN

from hornbook.tokenizer.bpe import BPETokenizer
from hornbook.tokenizer.pretokenize import pattern_regex


class Peers:
    """The same vocabulary in every library that is installed."""

    def __init__(self, tokenizer: BPETokenizer) -> None:
        self.folder = Path(tempfile.mkdtemp())
        tokenizer.save(self.folder)
        self.ranks = {token: i for i, token in enumerate(tokenizer.vocabulary.tokens)}
        lines = [b"%s %d\n" % (base64.b64encode(t), i) for t, i in self.ranks.items()]
        (self.folder / "vocab.tiktoken").write_bytes(b"".join(lines))

    def tiktoken(self) -> Any:
        import tiktoken

        pattern = pattern_regex(PATTERN)
        return tiktoken.Encoding(
            "same", pat_str=pattern, mergeable_ranks=self.ranks, special_tokens={}
        )

    def tokenizers(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def gigatoken(self) -> Any:
        import gigatoken

        return gigatoken.Tokenizer.from_tiktoken(
            str(self.folder / "vocab.tiktoken"), pretokenizer="gpt4", special_tokens={}
        )

    def fastokens(self) -> Any:
        from fastokens._native import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))


def attempt(make: Callable[[], Any]) -> Any:
    """What ``make`` gives, or None where its library is not installed."""
    try:
        return make()
    except ImportError:
        return None
