"""The first stage: sources -> files -> texts -> repaired documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.config import DataConfig, Source
from hornbook.data.documents import Document, DocumentWriter, document_id
from hornbook.data.engine import cores, ordered_map
from hornbook.data.funnel import Tally
from hornbook.data.read.clean import clean
from hornbook.data.read.formats import read_file
from hornbook.data.read.origins import OriginWriter
from hornbook.data.read.sources import (
    Skip,
    SourceFile,
    check_names,
    find_files,
    source_name,
)

UNIT_BYTES = 4 << 20  # files read together by one worker
MANY_BYTES = 64 << 20  # less than this is done before other processes have started


@dataclass(frozen=True)
class Extracted:
    """A text as it was read, by its size, and as it was repaired."""

    path: str
    raw_bytes: int
    text: str
    facts: dict[str, str]  # what else is known of it: see origins.py


@dataclass
class Unit:
    """What one worker reads at a time: some files of a source."""

    files: list[SourceFile]
    size: int = 0


def extract(config: DataConfig, out: Path) -> dict[str, Any]:
    """Read every source, repair the texts, write them to ``out``; returns the funnel facts.

    What cannot be read is skipped and listed. Raises :class:`UserError` for a source that
    is missing or gives no document at all. The output is the same for any number of workers.
    """
    check_names(config)
    tally = Tally("extract")
    by_source: dict[str, dict[str, int]] = {}
    with (
        DocumentWriter(out) as writer,
        OriginWriter(out) as origins,
        Progress("extract", total=None, unit="doc") as progress,
    ):
        for source in config.sources:
            name = source_name(source)
            before = (writer.documents, writer.bytes)
            for found in _read_source(source, config, tally):
                _add(found, name, writer, origins, tally)
                progress.advance()
            by_source[name] = {
                "documents": writer.documents - before[0],
                "bytes": writer.bytes - before[1],
            }
            if not by_source[name]["documents"]:
                raise UserError(_nothing_came(name, tally))
    return tally.facts(sources=by_source, **origins.facts())


def _read_source(
    source: Source, config: DataConfig, tally: Tally
) -> Iterator[Extracted]:
    units = _units(find_files(source, tally.skip))
    workers = config.workers or cores()
    if workers == 1 or sum(unit.size for unit in units) < MANY_BYTES:
        for unit in units:
            for file in unit.files:
                yield from _read(file, source, config, tally.skip)
        return
    read = partial(_read_unit, source=source, config=config)
    for found, skipped in ordered_map(read, units, workers, processes=True):
        for path, reason in skipped:
            tally.skip(path, reason)
        yield from found


def _units(files: Iterator[SourceFile]) -> list[Unit]:
    """The files in order, cut into units of a few MiB whatever the number of workers."""
    units: list[Unit] = []
    for found in files:
        try:
            size = found.size()
        except OSError:  # it vanished just now; reading will report it
            size = 0
        if not units or units[-1].size + size > UNIT_BYTES:
            units.append(Unit([]))
        units[-1].files.append(found)
        units[-1].size += size
    return units


def _read_unit(
    unit: Unit, source: Source, config: DataConfig
) -> tuple[list[Extracted], list[tuple[str, str]]]:
    skipped: list[tuple[str, str]] = []
    found = [
        text
        for file in unit.files
        for text in _read(
            file, source, config, lambda path, reason: skipped.append((path, reason))
        )
    ]
    return found, skipped


def _read(
    file: SourceFile, source: Source, config: DataConfig, skip: Skip
) -> Iterator[Extracted]:
    known: dict[str, dict[str, str]] = {}
    for path, raw in read_file(file, source, config.filters, skip, known.__setitem__):
        if not raw.isascii():  # a lone surrogate cannot be written
            raw = raw.encode("utf-8", "replace").decode()
        text = clean(raw, config.clean)
        yield Extracted(path, len(raw.encode()), text, known.pop(path, {}))


def _add(
    found: Extracted,
    source: str,
    writer: DocumentWriter,
    origins: OriginWriter,
    tally: Tally,
) -> None:
    tally.take(1, found.raw_bytes)
    document = Document(document_id(source, found.path), source, found.path, found.text)
    if not found.text.strip():
        tally.drop(document, "empty")
        return
    size = len(found.text.encode())
    tally.keep(1, size)
    writer.write(document)
    origins.write(document.id, size, found.facts)


def _nothing_came(source: str, tally: Tally) -> str:
    why = max(tally.skipped_count, key=tally.skipped_count.__getitem__, default="")
    if not why:
        return f"The source '{source}' holds only empty files."
    first = next(s for s in tally.skipped if s["reason"].startswith(why))
    return (
        f"The source '{source}' gave no document; {first['path']}: {first['reason']}, "
        f"and {tally.skipped_count[why] - 1} more like it."
    )
