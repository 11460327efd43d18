"""Seeing what a tokenizer does: pieces in colour, a card of figures, two side by side."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hornbook.core.files import write_json
from hornbook.tokenizer.base import Tokenizer

STYLES = (
    "black on #b8d8ba",
    "black on #f7d9c4",
    "black on #c6def1",
    "black on #f2c6de",
)
LONGEST_SHOWN = 12


def colored_tokens(tokenizer: Tokenizer, text: str, ids: bool = True) -> Text:
    """``text`` with each token in the next of four colours, its id after it in grey.

    Bytes that are half a character show as ``<E3>``; the text is never read as markup.
    """
    shown = Text()
    for number, token in enumerate(tokenizer.encode(text)):
        shown.append(
            visible(tokenizer.token_bytes(token)), STYLES[number % len(STYLES)]
        )
        shown.append(f"{token} " if ids else "", "dim")
    return shown


def visible(token: bytes) -> str:
    """One token's bytes as something to look at: ``\\n`` and half characters spelled out."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "".join(f"<{byte:02X}>" for byte in token)
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


@dataclass(frozen=True)
class Measure:
    """How one kind of text is tokenized."""

    label: str
    bytes: int
    tokens: int
    words: int  # separated by blanks
    unknown: int  # tokens that stand for something the vocabulary lacks

    @property
    def bytes_per_token(self) -> float:
        """Compression: more is better."""
        return self.bytes / max(self.tokens, 1)

    @property
    def fertility(self) -> float:
        """Tokens per word: 1 is best. Means little where words aren't set apart."""
        return self.tokens / max(self.words, 1)


@dataclass(frozen=True)
class Card:
    """What there is to know about a tokenizer on some texts."""

    kind: str
    pattern: str
    vocab_size: int
    measures: tuple[Measure, ...]
    n_unused: int  # ordinary tokens that the texts never used
    unused: tuple[str, ...]  # the first of them
    longest: tuple[str, ...]

    def table(self) -> dict[str, Any]:
        """The card as plain data, with the derived figures."""
        rows = [
            asdict(m)
            | {
                "bytes_per_token": round(m.bytes_per_token, 4),
                "fertility": round(m.fertility, 4),
            }
            for m in self.measures
        ]
        return asdict(self) | {"measures": rows}

    def save(self, directory: Path) -> None:
        """Write ``card.json``."""
        write_json(directory / "card.json", self.table())


def describe(
    tokenizer: Tokenizer, texts: Iterable[tuple[tuple[str, ...], str]]
) -> Card:
    """Measure a tokenizer on ``(labels, text)``s; a text counts for each of its labels."""
    used = np.zeros(tokenizer.vocab_size, np.int64)
    sums: dict[str, np.ndarray] = {}
    for labels, text in texts:
        ids = tokenizer.encode_array(text)
        used += np.bincount(ids, minlength=tokenizer.vocab_size)
        unknown = (
            0 if tokenizer.unknown is None else int((ids == tokenizer.unknown).sum())
        )
        size = len(text.encode(errors="replace"))
        found = np.array([size, len(ids), len(text.split()), unknown])
        for label in labels:
            sums[label] = sums.get(label, 0) + found
    special = {*tokenizer.special.values(), tokenizer.unknown}
    ordinary = [t for t in range(len(tokenizer.tokens)) if t not in special]
    unused = [t for t in ordinary if not used[t] and tokenizer.tokens[t]]
    longest = sorted(ordinary, key=lambda t: -len(tokenizer.tokens[t]))[:LONGEST_SHOWN]
    shown = (
        tuple(visible(tokenizer.tokens[t]) for t in some) for some in (unused, longest)
    )
    first_unused, longest_shown = shown
    return Card(
        kind=tokenizer.kind,
        pattern=tokenizer.pattern,
        vocab_size=tokenizer.vocab_size,
        measures=tuple(
            Measure(label, *map(int, sums[label])) for label in sorted(sums)
        ),
        n_unused=len(unused),
        unused=first_unused[:LONGEST_SHOWN],
        longest=longest_shown,
    )


def compare(
    tokenizers: Mapping[str, Tokenizer], texts: Iterable[tuple[tuple[str, ...], str]]
) -> dict[str, Card]:
    """One card per tokenizer, on the same texts."""
    texts = list(texts)
    return {name: describe(tokenizer, texts) for name, tokenizer in tokenizers.items()}


def render(cards: Mapping[str, Card]) -> Group:
    """The cards side by side, for a terminal."""
    first = next(iter(cards.values()))
    figures, facts = Table("text"), Table("")
    for figure in ("bytes/token", "tokens/word"):
        for name in cards:
            figures.add_column(Text(f"{name}\n{figure}"), justify="right")
    for name in cards:
        facts.add_column(Text(name))
    for row in zip(*(card.measures for card in cards.values()), strict=True):
        figures.add_row(
            Text(row[0].label),
            *(f"{measure.bytes_per_token:.3f}" for measure in row),
            *(f"{measure.fertility:.3f}" for measure in row),
        )
    for title in ("kind", "pattern", "vocab_size", "n_unused"):
        facts.add_row(
            title, *(Text(str(getattr(card, title))) for card in cards.values())
        )
    for title in ("unused", "longest"):
        facts.add_row(
            title, *(Text(" ".join(getattr(c, title))) for c in cards.values())
        )
    return Group(facts, figures) if first.measures else Group(facts)
