"""Documents on disk: Parquet files of the columns ``id, source, path, text``.

Every stage reads a directory of them and writes another. Both sides stream: memory holds
one row group, whatever the size of the corpus.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from hornbook.core.errors import UserError
from hornbook.data.arrow import text_sizes
from hornbook.data.parquet import open_parquet, parquet_writer

# Texts are large_string: 64-bit offsets, so that a row group may pass 2 GB.
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("path", pa.string()),
        ("text", pa.large_string()),
    ]
)
ROW_GROUP_BYTES = 16 << 20  # text per row group: what memory holds at a time
ROW_GROUP_ROWS = 20_000


@dataclass(frozen=True)
class Document:
    """One text and where it came from."""

    id: str
    source: str
    path: str
    text: str


def document_id(source: str, path: str) -> str:
    """32 hex digits that depend on the source's name and the path within it, nothing else."""
    return xxhash.xxh3_128_hexdigest(f"{source}\0{path}".encode("utf-8", "replace"))


def documents_file(directory: Path, number: int) -> Path:
    """The path of a directory's ``number``-th file of documents."""
    return directory / f"documents-{number:06d}.parquet"


def utf8_size(text: str) -> int:
    """Bytes of ``text`` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


class DocumentFile:
    """Writes documents into one Parquet file, a row group in memory at a time.

    The file appears when the block ends without an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.documents = self.bytes = 0
        self.written = 0  # bytes of text in row groups that are written
        self._tables: list[pa.Table] = []
        self._rows: list[Document] = []
        self._pending_rows = 0

    def __enter__(self) -> "DocumentFile":
        self._open = parquet_writer(self.path, SCHEMA)
        self._writer = self._open.__enter__()
        return self

    def write(self, document: Document) -> None:
        """Add one document."""
        self._rows.append(document)
        self._count(1, utf8_size(document.text))

    def write_table(self, table: pa.Table) -> None:
        """Add the rows of a table that has the columns of :data:`SCHEMA` (and maybe more)."""
        if table.num_rows == 0:
            return
        self._flush_rows()
        table = table.select(SCHEMA.names).cast(SCHEMA)
        self._tables.append(table)
        self._count(table.num_rows, int(text_sizes(table).sum()))

    def _count(self, rows: int, size: int) -> None:
        self.documents += rows
        self.bytes += size
        self._pending_rows += rows
        full = self.bytes - self.written >= ROW_GROUP_BYTES
        if full or self._pending_rows >= ROW_GROUP_ROWS:
            self._write_row_group()

    def _flush_rows(self) -> None:
        if self._rows:
            columns = {
                name: [getattr(row, name) for row in self._rows]
                for name in SCHEMA.names
            }
            self._tables.append(pa.table(columns, schema=SCHEMA))
            self._rows = []

    def _write_row_group(self) -> None:
        self._flush_rows()
        if self._tables:
            table = pa.concat_tables(self._tables).combine_chunks()
            self._writer.write_table(table, row_group_size=max(table.num_rows, 1))
        self._tables = []
        self._pending_rows = 0
        self.written = self.bytes

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._write_row_group()
        except BaseException as failed:
            kind, error, trace = type(failed), failed, failed.__traceback__
            raise
        finally:
            self._open.__exit__(kind, error, trace)


def document_files(directory: Path) -> list[Path]:
    """The Parquet files of a documents directory, in order."""
    files = sorted(directory.glob("documents-*.parquet"))
    if not files:
        raise UserError(f"{directory} holds no documents (no documents-*.parquet).")
    return files


def read_tables(
    directory: Path, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """The documents as Arrow tables, one per row group, in order.

    The next one is decompressed while the reader works on this one.
    """

    def tables() -> Iterator[pa.Table]:
        for path in document_files(directory):
            with open_parquet(path) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, columns=columns).combine_chunks()

    with ThreadPoolExecutor(1) as pool:
        source = tables()
        coming = pool.submit(next, source, None)
        while (table := coming.result()) is not None:
            coming = pool.submit(next, source, None)
            if table.num_rows:
                yield table


def count_documents(directory: Path) -> int:
    """How many documents a directory holds, from the files' footers alone."""
    return sum(pq.read_metadata(path).num_rows for path in document_files(directory))


def read_documents(directory: Path) -> Iterator[Document]:
    """The documents of a stage one by one, in order."""
    for table in read_tables(directory, SCHEMA.names):
        columns = (table.column(name).to_pylist() for name in SCHEMA.names)
        for row in zip(*columns, strict=True):
            yield Document(*row)


def read_texts(directory: Path) -> Iterator[str]:
    """Only the texts, in order."""
    for table in read_tables(directory, ["text"]):
        yield from table.column("text").to_pylist()


def write_documents(documents: Iterable[Document], directory: Path) -> None:
    """Write all of ``documents`` into ``directory``, as one file."""
    directory.mkdir(parents=True, exist_ok=True)
    with DocumentFile(documents_file(directory, 0)) as writer:
        for document in documents:
            writer.write(document)
