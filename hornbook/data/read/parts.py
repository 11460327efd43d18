"""Large files in parts, so that many workers share one file and a kill costs little of it.

Lines are cut at line ends, Parquet files between row groups, web archives between records
that are compressed one by one. Where a part begins depends on
the file alone. A compressed file has no places to begin at, so it is decompressed here, and
its parts hold the bytes.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.data.read.compressed import BrokenStream, open_stream
from hornbook.data.read.config import (
    CommonCrawlSource,
    CrawlSource,
    FilesSource,
    HubSource,
    Source,
)
from hornbook.data.read.formats import COMPRESSED, MAX_LINE_BYTES, bounded_lines
from hornbook.data.read.sources import Skip, SourceFile, open_regular
from hornbook.data.web.warc import next_record

BLOCK = 1 << 20
CUT = FilesSource | HubSource | CrawlSource | CommonCrawlSource


@dataclass(frozen=True)
class Span(SourceFile):
    """Some lines or records of a file: ``start:stop`` of its bytes."""

    start: int = 0
    stop: int = 0

    def size(self) -> int:
        """Bytes of the file that are read."""
        return self.stop - self.start

    def open(self) -> IO[bytes]:
        """These bytes."""
        return io.BufferedReader(_Section(open_regular(self.file), self), BLOCK)


class _Section(io.RawIOBase):
    """The bytes of a file within a span; its places are those in the file."""

    def __init__(self, handle: IO[bytes], span: Span) -> None:
        self._handle, self._stop = handle, span.stop
        handle.seek(span.start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        return self._handle.tell()

    def readinto(self, target) -> int:
        left = max(self._stop - self._handle.tell(), 0)
        data = self._handle.read(min(len(target), left))
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._handle.close()
        super().close()


@dataclass(frozen=True)
class Piece(SourceFile):
    """Some lines of a compressed file, decompressed; ``consumed`` are the file's bytes."""

    data: bytes = b""
    consumed: int = 0

    def size(self) -> int:
        """Bytes of the compressed file that these lines stand for."""
        return self.consumed

    def open(self) -> IO[bytes]:
        """These lines."""
        return io.BytesIO(self.data)


@dataclass(frozen=True)
class RowGroups(SourceFile):
    """Some row groups of a Parquet file."""

    bytes: int = 0

    def size(self) -> int:
        """Bytes of the file that are read."""
        return self.bytes


def cut_file(
    found: SourceFile, source: Source, unit_bytes: int, unpack: bool, skip: Skip
) -> Iterator[SourceFile]:
    """``found`` as it is, or in parts of about ``unit_bytes`` where its kind allows it.

    ``unpack`` says whether that is worth decompressing the file here.
    """
    try:
        if not isinstance(source, CUT) or found.size() <= unit_bytes // 4:
            yield found
            return
        suffixes = [suffix.lower() for suffix in Path(found.path).suffixes]
        with found.open() as handle:
            if isinstance(source, CrawlSource | CommonCrawlSource):
                yield from _records(found, handle, unit_bytes)
            elif suffixes[-1:] == [".jsonl"]:
                yield from _spans(found, handle, unit_bytes)
            elif suffixes[-1:] == [".parquet"]:
                yield from _row_groups(found, handle, unit_bytes)
            elif (
                unpack and suffixes[-2:-1] == [".jsonl"] and suffixes[-1] in COMPRESSED
            ):
                yield from _pieces(found, handle, unit_bytes, skip)
            else:
                yield found
    except OSError as error:
        skip(found.path, f"cannot be read ({error.strerror or error})")


def _spans(found: SourceFile, handle: IO[bytes], unit_bytes: int) -> Iterator[Span]:
    """Cut behind the first line end after each ``unit_bytes``; counts the lines before."""
    start = stop = lines = 0
    first = 1
    while block := handle.read(min(BLOCK, unit_bytes)):
        lines += block.count(b"\n")
        stop += len(block)
        if stop - start < unit_bytes:
            continue
        after = len(block) - 1 - block.rfind(b"\n")  # the line that goes on
        if after < len(block):
            stop -= after
            handle.seek(stop)
            yield Span(**_names(found), first=first, start=start, stop=stop)
            start, first, lines = stop, first + lines, 0
    if stop > start:
        yield Span(**_names(found), first=first, start=start, stop=stop)


def _records(
    found: SourceFile, handle: IO[bytes], unit_bytes: int
) -> Iterator[SourceFile]:
    """Cut where a record's gzip member begins; whole where there is no such place."""
    start, size = 0, found.size()
    while start < size:
        stop = next_record(handle, start + unit_bytes) or size
        whole = (start, stop) == (0, size)
        yield found if whole else Span(**_names(found), start=start, stop=stop)
        start = stop


def _pieces(
    found: SourceFile, handle: IO[bytes], unit_bytes: int, skip: Skip
) -> Iterator[Piece]:
    lines: list[bytes] = []
    size, first, start = 0, 1, 0

    def piece() -> Piece:
        data = b"".join(lines)
        return Piece(
            **_names(found), first=first, data=data, consumed=handle.tell() - start
        )

    stream = open_stream(handle)  # when it goes, it closes the handle
    try:
        for line in bounded_lines(stream):  # type: ignore[arg-type]
            if line is None:
                place = f"{found.path}:{first + len(lines)}"
                skip(place, f"line longer than {MAX_LINE_BYTES >> 20} MiB")
            lines.append(b"\n" if line is None else line)
            size += len(lines[-1])
            if size >= unit_bytes:
                yield piece()
                first, start = first + len(lines), handle.tell()
                lines, size = [], 0
    except BrokenStream as error:
        skip(f"{found.path}@{error.offset}", f"damaged file ({error})")
    if lines:
        yield piece()


def _row_groups(
    found: SourceFile, handle: IO[bytes], unit_bytes: int
) -> Iterator[SourceFile]:
    try:
        metadata = pq.ParquetFile(handle).metadata
    except (pa.ArrowException, OSError):
        yield found  # who reads it tells what is wrong
        return
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    scale = found.size() / max(sum(group.total_byte_size for group in groups), 1)
    start, first, rows, size = 0, 1, 0, 0
    for number, group in enumerate(groups, start=1):
        rows += group.num_rows
        size += group.total_byte_size
        if size >= unit_bytes or number == len(groups):
            part = RowGroups(**_names(found), first=first, groups=(start, number))
            yield replace(part, bytes=round(size * scale))
            start, first, rows, size = number, first + rows, 0, 0


def _names(found: SourceFile) -> dict:
    return {"source": found.source, "path": found.path, "file": found.file}
