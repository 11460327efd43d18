"""Parquet files that are whole or absent, and complain in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file to read; damage is a :class:`UserError` that names the file."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet: {error}.") from None


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer of a Parquet file that appears at ``path`` when the block ends well."""
    with atomic_file(path) as handle:
        sink = _Sink(handle)
        # Texts rarely repeat: a dictionary of them would only make reading slow.
        repeats: Any = [name for name in ("source", "reason") if name in schema.names]
        writer = pq.ParquetWriter(
            sink, schema, compression="zstd", use_dictionary=repeats or False
        )
        try:
            yield writer
            writer.close()
        except BaseException:
            sink.discarded = True
            with suppress(Exception):
                writer.close()
            writer.is_open = False  # else it tries again, and complains, when it goes
            raise


class _Sink:
    """A file for a Parquet writer, which writes a footer whatever went wrong before.

    Once ``discarded``, nothing more reaches the file, which may be full or closed.
    """

    closed = discarded = False

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle

    def write(self, data: Any) -> int:
        return len(data) if self.discarded else self._handle.write(data)

    def tell(self) -> int:
        return 0 if self.discarded else self._handle.tell()

    def flush(self) -> None:
        """The handle's owner flushes it."""

    def close(self) -> None:
        """The handle's owner closes it."""
