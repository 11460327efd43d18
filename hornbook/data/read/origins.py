"""What is known of documents beside their text: where it was, its licence, its language.

Kept in ``sources.parquet`` beside the documents, one row for each document of which
something is known, in their order.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FACTS = ("url", "licence", "language", "mended")
SCHEMA = pa.schema([(name, pa.string()) for name in ("id", *FACTS)])
COUNTED = ("licence", "language", "mended")  # few values, so the funnel can show them
ROWS = 20_000
FILE = "sources.parquet"


class OriginWriter:
    """Writes facts of documents into a directory; there is no file where nothing is known."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._rows: list[dict[str, str]] = []
        self._writer: pq.ParquetWriter | None = None
        self.counts: dict[str, dict[str, dict[str, int]]] = {}

    def __enter__(self) -> "OriginWriter":
        return self

    def write(self, document: str, size: int, facts: dict[str, str]) -> None:
        """Keep what is known of the document of that id, and count it by its ``size``."""
        if not facts:
            return
        for name in COUNTED:
            if value := facts.get(name):
                counts = self.counts.setdefault(name, {}).setdefault(
                    value, {"documents": 0, "bytes": 0}
                )
                counts["documents"] += 1
                counts["bytes"] += size
        self._rows.append({"id": document, **facts})
        if len(self._rows) >= ROWS:
            self._flush()

    def facts(self) -> dict[str, Any]:
        """Documents and bytes by licence, language and repair, the largest first."""
        return {
            name: dict(
                sorted(by.items(), key=lambda item: (-item[1]["bytes"], item[0]))
            )
            for name, by in self.counts.items()
        }

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, SCHEMA, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
        self._rows = []

    def __exit__(self, *error: object) -> None:
        if self._rows and error[0] is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()
