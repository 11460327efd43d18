"""What is known of documents beside their text: where it was, its licence, its language.

Kept in ``sources.parquet`` beside the documents, one row for each document of which
something is known, in their order.
"""

from typing import Any

import pyarrow as pa

FILE = "sources.parquet"
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "url", "licence", "language", "mended")]
)
COUNTED = ("licence", "language", "mended")  # few values, so the funnel can show them

Counts = dict[str, dict[str, dict[str, int]]]  # fact -> value -> documents and bytes


class Origins:
    """Collects what is known of a unit's documents."""

    def __init__(self) -> None:
        self._rows: list[dict[str, str]] = []
        self.counts: Counts = {}

    def add(self, document: str, size: int, facts: dict[str, str]) -> None:
        """Keep what is known of the document of that id, and count it by its ``size``."""
        if not facts:
            return
        self._rows.append({"id": document, **facts})
        for name in COUNTED:
            if value := facts.get(name):
                one = {value: {"documents": 1, "bytes": size}}
                add_counts(self.counts, {name: one})

    def tables(self) -> list[pa.Table]:
        """The rows as a table; none where nothing is known."""
        return [pa.Table.from_pylist(self._rows, SCHEMA)] if self._rows else []


def add_counts(counts: Counts, more: Counts) -> None:
    """Add ``more`` to ``counts``."""
    for name, values in more.items():
        for value, numbers in values.items():
            known = counts.setdefault(name, {}).setdefault(value, {})
            for what, number in numbers.items():
                known[what] = known.get(what, 0) + number


def shown(counts: Counts) -> dict[str, Any]:
    """``counts`` with the largest first."""
    return {
        name: dict(sorted(by.items(), key=lambda item: (-item[1]["bytes"], item[0])))
        for name, by in counts.items()
    }
