"""The first stage: sources -> files -> texts -> repaired documents."""

from pathlib import Path
from typing import Any

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.clean import clean
from hornbook.data.config import DataConfig
from hornbook.data.documents import Document, DocumentWriter, document_id
from hornbook.data.formats import read_file
from hornbook.data.funnel import Tally
from hornbook.data.sources import check_names, find_files, source_name


def extract(config: DataConfig, out: Path) -> dict[str, Any]:
    """Read every source, repair the texts, write them to ``out``; returns the funnel facts.

    What cannot be read is skipped and listed. Raises :class:`UserError` for a source that
    is missing or gives no document at all.
    """
    check_names(config)
    tally = Tally("extract")
    by_source: dict[str, dict[str, int]] = {}
    with (
        DocumentWriter(out) as writer,
        Progress("extract", total=None, unit="doc") as progress,
    ):
        for source in config.sources:
            name = source_name(source)
            before = (writer.documents, writer.bytes)
            for found in find_files(source, tally.skip):
                for path, raw in read_file(found, source, config.filters, tally.skip):
                    _add(path, raw, name, config, writer, tally)
                    progress.advance()
            by_source[name] = {
                "documents": writer.documents - before[0],
                "bytes": writer.bytes - before[1],
            }
            if not by_source[name]["documents"]:
                raise UserError(_nothing_came(name, tally))
    return tally.facts(sources=by_source)


def _add(
    path: str,
    raw: str,
    source: str,
    config: DataConfig,
    writer: DocumentWriter,
    tally: Tally,
) -> None:
    raw = raw.encode("utf-8", "replace").decode() if not raw.isascii() else raw
    tally.take(1, len(raw.encode()))
    text = clean(raw, config.clean)
    document = Document(document_id(source, path), source, path, text)
    if not text.strip():
        tally.drop(document, "empty")
        return
    tally.keep(1, len(text.encode()))
    writer.write(document)


def _nothing_came(source: str, tally: Tally) -> str:
    why = max(tally.skipped_count, key=tally.skipped_count.__getitem__, default="")
    if not why:
        return f"The source '{source}' holds only empty files."
    first = next(s for s in tally.skipped if s["reason"].startswith(why))
    return (
        f"The source '{source}' gave no document; {first['path']}: {first['reason']}, "
        f"and {tally.skipped_count[why] - 1} more like it."
    )
