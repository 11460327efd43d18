"""Units: a stage's work in pieces of a fixed size, each kept as soon as it is whole.

Unit 7 writes its files under names of its own (``documents-000007.parquet``), each by one
rename, and as the last of them ``units/000007.json`` with its facts. A stage that was killed
finds there what need not be done again. Units are cut and numbered by the input alone, so
what comes out is the same for any number of workers and any number of kills.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook import __version__
from hornbook.core.files import fresh_directory, read_json, sync, write_json
from hornbook.core.progress import Progress
from hornbook.data.documents import SCHEMA, document_files
from hornbook.data.engine import cores, ordered_map
from hornbook.data.parquet import open_parquet, parquet_writer

Item = TypeVar("Item")
Work = Callable[[int, Item], dict[str, Any]]  # number, unit -> facts for JSON
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
# One more than there are cores: there is always one that waits for the disk.
N_THREADS = cores() + 1 if cores() > 1 else 1
THREADS: Mapper = partial(ordered_map, workers=N_THREADS, processes=False)

FOLDER = "units"  # beside a stage's files; not published
UNIT_BYTES = 16 << 20  # of text, in a unit of documents


def each_unit(
    work: Work[Item], units: Iterable[Item], out: Path, mapper: Mapper, of: str
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Do ``work(number, unit)`` of all ``units``; gives each one's facts in order.

    With them comes whether an earlier attempt at the stage had done the unit already.
    ``mapper`` is an :func:`~hornbook.data.engine.ordered_map` that knows its workers; ``of``
    is the :func:`basis` of the stage: units made of something else are forgotten.
    """
    folder = out / FOLDER
    _begin(out, of)
    if _share is not None:
        _do_share(work, units, folder, mapper)
    planned: deque[tuple[int, bool]] = deque()  # number, done already

    def missing() -> Iterator[tuple[int, Item]]:
        for number, unit in enumerate(units):
            planned.append((number, _facts_file(folder, number).exists()))
            if not planned[-1][1]:
                yield number, unit

    def facts_up_to(last: int | None) -> Iterator[tuple[dict[str, Any], bool]]:
        while planned and (last is None or planned[0][0] <= last):
            number, earlier = planned.popleft()
            yield read_json(_facts_file(folder, number)), earlier

    for number in mapper(partial(_do, work, folder), missing()):
        yield from facts_up_to(number)
    yield from facts_up_to(None)


class ShareDone(Exception):
    """A share of a stage's units is done; the rest of the stage is for whoever has all."""


@dataclass
class Share:
    """Every ``of``-th unit from ``number`` on; ``count`` are done."""

    number: int
    of: int
    count: int = 0


_share: Share | None = None


@contextmanager
def share(number: int, of: int) -> Iterator[Share]:
    """Within the block :func:`each_unit` does a share only, and raises :class:`ShareDone`."""
    global _share
    _share = Share(number, of)
    try:
        yield _share
    finally:
        _share = None


def _do_share(
    work: Work[Item], units: Iterable[Item], folder: Path, mapper: Mapper
) -> None:
    assert _share is not None
    mine = (
        (number, unit)
        for number, unit in enumerate(units)
        if number % _share.of == _share.number
        and not _facts_file(folder, number).exists()
    )
    for _ in mapper(partial(_do, work, folder), mine):
        _share.count += 1
    raise ShareDone


def pass_over(
    work: Work["DocumentUnit"],
    documents: Path,
    out: Path,
    progress: Progress,
    *settings: Any,
) -> Iterator[dict[str, Any]]:
    """One pass over a directory of documents, by units and on threads: the units' facts.

    ``work``'s facts hold its ``tally``. ``settings`` is what it depends on besides the
    documents.
    """
    of = basis(*settings, state_of(documents), UNIT_BYTES)
    units = document_units(documents)
    for facts, earlier in each_unit(work, units, out, THREADS, of):
        progress.advance(facts["tally"]["documents_in"], earlier=earlier)
        yield facts


def basis(*parts: Any) -> str:
    """A digest of what must not have changed for earlier units to be of use."""
    encoded = msgspec.json.encode([__version__, *parts], order="sorted")
    return hashlib.sha256(encoded).hexdigest()


def state_of(documents: Path) -> list[tuple[str, int, int]]:
    """Changes when a directory of documents does."""
    states = [(path.name, path.stat()) for path in document_files(documents)]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _begin(out: Path, of: str) -> None:
    """Forget units that were made of something else."""
    noted = out / FOLDER / "basis.json"
    if not (noted.exists() and read_json(noted) == of):
        fresh_directory(out / FOLDER)
        for old in out.rglob("documents-*.parquet"):
            old.unlink()
        write_json(noted, of)


def _do(work: Work[Item], folder: Path, task: tuple[int, Item]) -> int:
    number, unit = task
    facts = work(number, unit)
    sync(folder.parent)  # its files' names before its facts, should the power fail
    write_json(_facts_file(folder, number), facts)
    return number


def _facts_file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


@dataclass(frozen=True)
class DocumentUnit:
    """Some row groups of a documents directory: ``(file, number of the row group)``."""

    groups: tuple[tuple[Path, int], ...]
    first: int  # the number of its first document, counted through the directory

    def tables(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The documents as Arrow tables, in order."""
        for path, group in self.groups:
            with open_parquet(path) as file:
                yield file.read_row_group(group, columns=columns).combine_chunks()

    def table(self, columns: list[str]) -> pa.Table:
        """The same as one table."""
        empty = SCHEMA.empty_table().select(columns)
        return pa.concat_tables([empty, *self.tables(columns)]).combine_chunks()


def document_units(directory: Path) -> Iterator[DocumentUnit]:
    """The documents of a directory in order, in units of about :data:`UNIT_BYTES`.

    There is at least one, so that a stage without documents leaves a file that says so.
    """
    groups: list[tuple[Path, int]] = []
    size = first = rows = 0
    text = SCHEMA.get_field_index("text")
    for path in document_files(directory):
        with open_parquet(path) as file:
            metadata = file.metadata
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            if (
                groups
                and size + group.column(text).total_uncompressed_size > UNIT_BYTES
            ):
                yield DocumentUnit(tuple(groups), first)
                groups, size, first = [], 0, rows
            if group.num_rows:
                rows += group.num_rows
                groups.append((path, number))
                size += group.column(text).total_uncompressed_size
    yield DocumentUnit(tuple(groups), first)


def write_numbers(out: Path, number: int, tables: list[pa.Table]) -> None:
    """Keep what a unit measured, for :func:`join_numbers`."""
    for table in tables[:1]:
        path = _numbers_file(out, number)
        with parquet_writer(path, table.schema) as writer:
            for part in tables:  # a row group each, so that it can be found again
                writer.write_table(part, row_group_size=max(part.num_rows, 1))


def join_numbers(out: Path, units: int, name: str = "statistics.parquet") -> None:
    """Make one file of what the units measured, where there was anything to measure."""
    files = [_numbers_file(out, number) for number in range(units)]
    files = [file for file in files if file.exists()]
    for first in files[:1]:
        with parquet_writer(out / name, pq.read_schema(first)) as writer:
            for path in files:
                with open_parquet(path) as file:
                    for group in range(file.num_row_groups):
                        part = file.read_row_group(group)
                        writer.write_table(part, row_group_size=max(part.num_rows, 1))


def _numbers_file(out: Path, number: int) -> Path:
    return out / FOLDER / f"{number:06d}.parquet"
