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
SHOWN = 12  # tokens in a list
WIDEST = 24  # characters of a token in a table
WORDLESS = 40  # bytes between blanks: more, and blanks don't part words


def colored_tokens(tokenizer: Tokenizer, text: str, ids: bool = True) -> Text:
    """``text`` with each token in the next of four colours, its id after it in grey.

    Bytes that are half a character show as ``<E3>``, a space as ``␣``; lines end where those
    of ``text`` do, and nothing in it is read as markup.
    """
    shown = Text()
    for number, token in enumerate(tokenizer.encode(text)):
        piece = tokenizer.token_bytes(token)
        shown.append(visible(piece), STYLES[number % len(STYLES)])
        shown.append(f" {token}  " if ids else "", "dim")
        shown.append("\n" if piece.endswith(b"\n") else "")
    shown.rstrip()
    return shown


def visible(token: bytes) -> str:
    """One token's bytes as something to look at: blanks and half characters spelled out."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "".join(f"<{byte:02X}>" for byte in token)
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character == " ":
        return "␣"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def _shortened(text: str) -> str:
    """A token in a table: runs of one character are counted, long ones cut."""
    if len(text) > 3 and len(set(text)) == 1:
        return f"{text[0]}×{len(text)}"
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


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
    unused: tuple[str, ...]  # the longest of them
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
    unused_shown, longest_shown = (
        tuple(
            visible(tokenizer.tokens[t])
            for t in sorted(some, key=lambda t: -len(tokenizer.tokens[t]))[:SHOWN]
        )
        for some in (unused, ordinary)
    )
    return Card(
        kind=tokenizer.kind,
        pattern=tokenizer.pattern,
        vocab_size=tokenizer.vocab_size,
        measures=tuple(
            Measure(label, *map(int, sums[label])) for label in sorted(sums)
        ),
        n_unused=len(unused),
        unused=unused_shown,
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
    figures, facts = Table("text", "MB"), Table("")
    for figure in ("bytes/token", "tokens/word"):
        for name in cards:
            figures.add_column(Text(f"{name}\n{figure}"), justify="right")
    for name in cards:
        facts.add_column(Text(name))
    for row in zip(*(card.measures for card in cards.values()), strict=True):
        figures.add_row(
            Text(row[0].label),
            f"{row[0].bytes / 1e6:.2f}",
            *(f"{measure.bytes_per_token:.3f}" for measure in row),
            *(_fertility(measure) for measure in row),
        )
    for title, value in (
        ("kind", lambda card: card.kind),
        ("pattern", lambda card: card.pattern),
        ("vocabulary", lambda card: f"{card.vocab_size:,}"),
        ("unused here", lambda card: f"{card.n_unused:,}"),
        ("longest unused", lambda card: "  ".join(map(_shortened, card.unused))),
        ("longest", lambda card: "  ".join(map(_shortened, card.longest))),
    ):
        facts.add_row(title, *(Text(value(card)) for card in cards.values()))
    return Group(facts, figures) if figures.row_count else Group(facts)


def _fertility(measure: Measure) -> str:
    apart = measure.words * WORDLESS > measure.bytes
    return f"{measure.fertility:.3f}" if apart else "–"
