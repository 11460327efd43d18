"""The funnel: how many documents and bytes enter and leave each stage, and why they left.

A stage counts with a :class:`Tally` and returns its :meth:`~Tally.facts`, a plain
dictionary that goes into the run's manifest; :func:`rows` and :func:`table` show a list
of them.
"""

from collections import defaultdict
from typing import Any

import pyarrow as pa
from rich.markup import escape
from rich.table import Table

from hornbook.data.arrow import text_sizes
from hornbook.data.documents import Document

MAX_EXAMPLES = 10  # per reason
EXAMPLE_CHARACTERS = 300
MAX_LISTED = 200  # skipped things listed by name; all are counted


COUNTS = ("documents_in", "bytes_in", "documents_out", "bytes_out")


class Tally:
    """Counts what a stage takes in, keeps, drops (with a reason) and skips."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents_in = self.documents_out = self.bytes_in = self.bytes_out = 0
        self.reasons: dict[str, dict[str, int]] = {}
        self.examples: dict[str, list[dict[str, str]]] = {}
        self.skipped: list[dict[str, str]] = []
        self.skipped_count: dict[str, int] = defaultdict(int)
        self.by_source: dict[str, dict[str, int]] = {}

    def take(self, documents: int, size: int, source: str = "") -> None:
        """Count documents that entered, and their bytes."""
        self.documents_in += documents
        self.bytes_in += size
        self._count_source(source, "in", documents, size)

    def keep(self, documents: int, size: int, source: str = "") -> None:
        """Count documents that leave for the next stage, and their bytes."""
        self.documents_out += documents
        self.bytes_out += size
        self._count_source(source, "out", documents, size)

    def take_table(self, table: pa.Table) -> None:
        """:meth:`take` all documents of a table, each for its source."""
        for source, documents, size in _by_source(table):
            self.take(documents, size, source)

    def keep_table(self, table: pa.Table) -> None:
        """:meth:`keep` all documents of a table, each for its source."""
        for source, documents, size in _by_source(table):
            self.keep(documents, size, source)

    def _count_source(self, source: str, way: str, documents: int, size: int) -> None:
        if source and documents:
            counts = self.by_source.setdefault(source, dict.fromkeys(COUNTS, 0))
            counts[f"documents_{way}"] += documents
            counts[f"bytes_{way}"] += size

    def drop(self, document: Document, reason: str, note: str = "") -> None:
        """Count one document that goes no further; the first few per reason are shown."""
        self.count_dropped(reason, len(document.text.encode()))
        shown = self.examples.setdefault(reason, [])
        if len(shown) < MAX_EXAMPLES:
            text = document.text[:EXAMPLE_CHARACTERS]
            example = {"id": document.id, "path": document.path, "text": text}
            shown.append(example | ({"note": note} if note else {}))

    def count_dropped(self, reason: str, size: int) -> None:
        """Count one dropped document without showing it."""
        counts = self.reasons.setdefault(reason, {"documents": 0, "bytes": 0})
        counts["documents"] += 1
        counts["bytes"] += size

    def needs_example(self, reason: str) -> bool:
        """Whether another example of ``reason`` would still be kept."""
        return len(self.examples.get(reason, ())) < MAX_EXAMPLES

    def skip(self, path: str, reason: str) -> None:
        """Count something that never became a document: a stray file, a broken record.

        ``reason`` may end in a detail in brackets, which is listed but not counted apart.
        """
        self.skipped_count[reason.partition(" (")[0]] += 1
        if len(self.skipped) < MAX_LISTED:
            self.skipped.append({"path": path, "reason": reason})

    def add(self, facts: dict[str, Any]) -> None:
        """Count what another tally's :meth:`facts` hold: those of the unit that comes next."""
        self.take(facts["documents_in"], facts["bytes_in"])
        self.keep(facts["documents_out"], facts["bytes_out"])
        for source, counts in facts["by_source"].items():
            sums = self.by_source.setdefault(source, dict.fromkeys(COUNTS, 0))
            for name, count in counts.items():
                sums[name] += count
        for reason, counts in facts["reasons"].items():
            mine = self.reasons.setdefault(reason, {"documents": 0, "bytes": 0})
            for name, count in counts.items():
                mine[name] += count
        for reason, shown in facts["examples"].items():
            mine = self.examples.setdefault(reason, [])
            mine += shown[: MAX_EXAMPLES - len(mine)]
        for reason, count in facts["skipped_count"].items():
            self.skipped_count[reason] += count
        self.skipped += facts["skipped"][: MAX_LISTED - len(self.skipped)]

    def facts(self, **more: Any) -> dict[str, Any]:
        """What the run stores: plain data, reasons from the most to the least bytes."""
        order = sorted(self.reasons, key=lambda r: (-self.reasons[r]["bytes"], r))
        return {
            "name": self.name,
            "documents_in": self.documents_in,
            "documents_out": self.documents_out,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "by_source": self.by_source,
            "reasons": {reason: self.reasons[reason] for reason in order},
            "examples": {r: self.examples[r] for r in order if r in self.examples},
            "skipped": self.skipped,
            "skipped_count": dict(sorted(self.skipped_count.items())),
        } | more


def _by_source(table: pa.Table) -> list[tuple[str, int, int]]:
    """Source, documents and bytes of text, of each source in a table."""
    if not table.num_rows:
        return []
    columns = {"source": table["source"], "size": text_sizes(table)}
    groups = pa.table(columns).group_by("source", use_threads=False)
    sums = groups.aggregate([("size", "count"), ("size", "sum")]).to_pylist()
    return [(row["source"], row["size_count"], row["size_sum"]) for row in sums]


def rows(
    stages: list[dict[str, Any]], bytes_per_token: float = 0.0
) -> list[dict[str, Any]]:
    """One plain row per stage, under it one per source where there are several, and one per
    reason that documents were dropped for.

    Each has ``stage, source, reason, documents, bytes, share``: for a stage what left it and
    the share of the first stage's bytes; for a source what of it is left; for a reason what
    it took and its share of the stage's input. With ``bytes_per_token`` they have ``tokens``,
    as many as there would be.
    """
    first = next((stage["bytes_in"] for stage in stages if stage["bytes_in"]), 0)
    result = []
    for stage in stages:
        result.append(
            {
                "stage": stage["name"],
                "source": "",
                "reason": "",
                "documents": stage["documents_out"],
                "bytes": stage["bytes_out"],
                "share": stage["bytes_out"] / max(first, 1),
            }
        )
        sources = stage.get("by_source", {})
        result += [
            {
                "stage": stage["name"],
                "source": source,
                "reason": "",
                "documents": counts["documents_out"],
                "bytes": counts["bytes_out"],
                "share": counts["bytes_out"] / max(counts["bytes_in"], 1),
            }
            for source, counts in sources.items()
            if len(sources) > 1
        ]
        result += [
            {
                "stage": stage["name"],
                "source": "",
                "reason": reason,
                "documents": -counts["documents"],
                "bytes": -counts["bytes"],
                "share": counts["bytes"] / max(stage["bytes_in"], 1),
            }
            for reason, counts in stage["reasons"].items()
        ]
    if bytes_per_token:
        for row in result:
            row["tokens"] = round(row["bytes"] / bytes_per_token)
    return result


def table(stages: list[dict[str, Any]], bytes_per_token: float = 0.0) -> Table:
    """The funnel as a table for the terminal; with ``bytes_per_token`` in tokens too."""
    drawn = Table(title="What came through", title_justify="left")
    drawn.add_column("stage")
    tokens = ("k tokens",) if bytes_per_token else ()
    for name in ("documents", "MB", *tokens, "share"):
        drawn.add_column(name, justify="right")
    for row in rows(stages, bytes_per_token):
        dropped, sign = bool(row["reason"]), "−" if row["reason"] else ""
        label = f"  − {row['reason']}" if dropped else row["stage"]
        drawn.add_row(
            escape(f"  · {row['source']}" if row["source"] else label),
            f"{row['documents']:,}",
            f"{row['bytes'] / 1e6:,.2f}",
            *[f"{row['tokens'] / 1e3:,.0f}" for _ in tokens],
            f"{sign}{100 * row['share']:.1f} %",
            style="dim" if dropped or row["source"] else "",
        )
    for stage in stages:
        skipped = sum(stage.get("skipped_count", {}).values())
        if skipped:
            drawn.add_row(f"  ({skipped:,} skipped in {escape(stage['name'])})")
    return drawn
