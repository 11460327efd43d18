"""The first stage: sources -> files -> texts -> repaired documents.

It works in units of some MiB of the sources. Each becomes one file of documents, written
whole by the process that read it, so that hardly anything passes between processes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.config import DataConfig
from hornbook.data.documents import (
    Document,
    DocumentFile,
    document_id,
    documents_file,
    utf8_size,
)
from hornbook.data.engine import cores, on_cluster
from hornbook.data.funnel import Tally
from hornbook.data.pool import GivenUp, alive, at, isolated_map
from hornbook.data.read.clean import clean
from hornbook.data.read.config import (
    FilesSource,
    GitSource,
    HubSource,
    Source,
    StdlibSource,
)
from hornbook.data.read.formats import read_file
from hornbook.data.read.origins import FILE as ORIGINS
from hornbook.data.read.origins import Counts, Origins, add_counts, shown
from hornbook.data.read.parts import cut_file
from hornbook.data.read.sources import (
    SourceFile,
    check_names,
    find_files,
    probe,
    source_name,
)
from hornbook.data.units import (
    Mapper,
    basis,
    each_unit,
    join_numbers,
    write_numbers,
)

UNIT_BYTES = 16 << 20  # of the sources, read together by one worker
UNIT_FILES = 4096  # at most
MANY_BYTES = 64 << 20  # less than this is done before other processes have started
# With more files than this, compressed ones need not be cut to give all workers work.
MANY_FILES = 32
# Read by libraries that a hostile file can hang or crash, so only in other processes.
RISKY = (".html", ".htm", ".xhtml", ".epub", ".pdf")


@dataclass
class Unit:
    """What one worker reads at a time: some files of a source, or parts of a large one."""

    source: int  # which one
    files: list[SourceFile] = field(default_factory=list)
    size: int = 0  # bytes
    skipped: Tally = field(default_factory=lambda: Tally("extract"))  # while cutting
    last: bool = False  # of its source


def extract(config: DataConfig, out: Path) -> dict[str, Any]:
    """Read every source, repair the texts, write them to ``out``; returns the funnel facts.

    What cannot be read is skipped and listed. Raises :class:`UserError` for a source that
    is missing or gives no document at all. The output is the same for any number of workers,
    and goes on from the units that an interrupted attempt left in ``out``.
    """
    check_names(config)
    found = probe(config)
    total = sum(facts.get("bytes", 0) for facts in found.values())
    tally, of_source = Tally("extract"), Tally("extract")
    by_source: dict[str, dict[str, int]] = {}
    known: Counts = {}
    units_done = 0
    work = partial(extract_unit, config=config, out=out)
    units = _units(config, found)
    settings = (config.sources, config.clean, config.filters)
    of = basis(*settings, found, UNIT_BYTES)
    with Progress("extract", total / 1e6 or None, "MB") as progress:
        for unit, earlier in each_unit(work, units, out, _mapper(config, total), of):
            tally.add(unit["tally"])
            of_source.add(unit["tally"])
            add_counts(known, unit["known"])
            units_done += 1
            progress.advance(
                unit["size"] / 1e6, f"{tally.documents_out:,} documents", earlier
            )
            if unit["last"]:
                if not of_source.documents_out:
                    raise UserError(_nothing_came(unit["source"], of_source))
                by_source[unit["source"]] = {
                    "documents": of_source.documents_out,
                    "bytes": of_source.bytes_out,
                }
                of_source = Tally("extract")
    join_numbers(out, units_done, ORIGINS)
    return tally.facts(sources=by_source, **shown(known))


def _mapper(config: DataConfig, total: int) -> Mapper:
    """Other processes where they pay, or where one may have to be killed."""
    workers = config.workers or cores()
    risky = any(_is_risky(source) for source in config.sources)
    if on_cluster():
        from hornbook.data.cluster import cluster_map

        return partial(cluster_map, isolated=risky)
    pays = workers > 1 and total >= MANY_BYTES
    if pays or risky:
        return partial(isolated_map, workers=workers)
    return map


def _is_risky(source: Source) -> bool:
    if isinstance(source, FilesSource):
        names = [f"name{suffix}" for suffix in RISKY]
        return Path(source.path).suffix.lower() in RISKY or any(
            fnmatch(name, pattern) for name in names for pattern in source.include
        )
    return not isinstance(source, StdlibSource | GitSource | HubSource)


def _units(config: DataConfig, found: dict[str, Any]) -> Iterator[Unit]:
    """All sources in order, cut into units whatever the number of workers."""
    for number, source in enumerate(config.sources):
        unit, full = Unit(number), False
        few = found[source_name(source)].get("files", 0) <= MANY_FILES
        skip = lambda path, reason: unit.skipped.skip(path, reason)  # noqa: E731, B023
        for file in find_files(source, skip):
            for part in cut_file(file, source, UNIT_BYTES, few, skip):
                size = _size(part)
                full = full or part is not file  # parts of files are units of their own
                full = full or unit.size + size > UNIT_BYTES
                if unit.files and (full or len(unit.files) >= UNIT_FILES):
                    yield unit
                    unit = Unit(number)
                unit.files.append(part)
                unit.size += size
                full = part is not file
        unit.last = True
        yield unit


def _size(part: SourceFile) -> int:
    try:
        return part.size()
    except OSError:  # it vanished just now; reading will report it
        return 0


def extract_unit(
    number: int, unit: Unit, config: DataConfig, out: Path
) -> dict[str, Any]:
    """Write the documents of one unit; returns its source's name, its size and tally."""
    source = config.sources[unit.source]
    name, tally = source_name(source), unit.skipped
    origins = Origins()
    with DocumentFile(documents_file(out, number)) as writer:
        for file in unit.files:
            try:
                at(file.path)
                known: dict[str, dict[str, str]] = {}
                read = read_file(
                    file, source, config.filters, tally.skip, known.__setitem__
                )
                for path, raw in read:
                    raw, size = _encodable(raw)
                    tally.take(1, size, name)
                    text = clean(raw, config.clean)
                    document = Document(document_id(name, path), name, path, text)
                    facts = known.pop(path, {})
                    if text and not text.isspace():
                        writer.write(document)
                        origins.add(document.id, utf8_size(text), facts)
                    else:
                        tally.drop(document, "empty")
                    alive()
            except GivenUp as error:
                tally.skip(file.path, str(error))
    tally.keep(writer.documents, writer.bytes, name)
    write_numbers(out, number, origins.tables())
    return {
        "source": name,
        "size": unit.size,
        "last": unit.last,
        "tally": tally.facts(),
        "known": origins.counts,
    }


def _encodable(text: str) -> tuple[str, int]:
    """A text that can be written, and its bytes: a lone surrogate becomes a ``?``."""
    try:
        return text, utf8_size(text)
    except UnicodeEncodeError:
        encoded = text.encode("utf-8", "replace")
        return encoded.decode(), len(encoded)


def _nothing_came(source: str, tally: Tally) -> str:
    why = max(tally.skipped_count, key=tally.skipped_count.__getitem__, default="")
    if not why:
        return f"The source '{source}' holds only empty files."
    first = next(s for s in tally.skipped if s["reason"].startswith(why))
    return (
        f"The source '{source}' gave no document; {first['path']}: {first['reason']}, "
        f"and {tally.skipped_count[why] - 1} more like it."
    )
