"""One text in the pieces of several tokenizers."""

from typing import Any

from hornbook.core.errors import UserError
from hornbook.serve.logprobs import spelled
from hornbook.serve.look.runs import Runs
from hornbook.tokenizer.base import Tokenizer, load_tokenizer

MOST_CHARACTERS = 20_000


class Splitter:
    """The tokenizers of all runs, opened when first asked for."""

    def __init__(self, runs: Runs):
        self.runs = runs
        self._open: dict[str, tuple[int, Tokenizer]] = {}

    def names(self) -> list[str]:
        """The runs that have a tokenizer."""
        found = self.runs.folders().items()
        return [n for n, run in found if (run / "tokenizer/tokenizer.json").exists()]

    def tokenizer(self, name: str) -> Tokenizer:
        """A run's tokenizer as it is now. Raises :class:`UserError`."""
        folder = self.runs.folder(name) / "tokenizer"
        if not (folder / "tokenizer.json").exists():
            raise UserError(f"The run '{name}' has no tokenizer yet.")
        written = (folder / "tokenizer.json").stat().st_mtime_ns
        if self._open.get(name, (0, None))[0] != written:
            self._open[name] = (written, load_tokenizer(folder))
        return self._open[name][1]

    def split(self, name: str, text: str) -> dict[str, Any]:
        """The pieces of ``text``, their ids, and what that comes to."""
        text = text[:MOST_CHARACTERS]
        tokenizer = self.tokenizer(name)
        ids = tokenizer.encode(text)
        size = len(text.encode(errors="replace"))
        return {
            "name": name,
            "kind": tokenizer.kind,
            "vocab_size": tokenizer.vocab_size,
            "pieces": [spelled(tokenizer, token) for token in ids],
            "ids": ids,
            "bytes_per_token": round(size / len(ids), 3) if ids else None,
        }
