"""What is in a file: one text, or one per record. Broken parts are skipped and counted."""

import csv
from collections.abc import Iterator
from typing import IO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.data.config import CrawlSource, FilesSource, FilterConfig, Source
from hornbook.data.read.compressed import BrokenStream, open_stream
from hornbook.data.read.decode import NotText, decode
from hornbook.data.read.epub import read_epub
from hornbook.data.read.sources import Skip, SourceFile
from hornbook.data.web.crawl import read_crawl
from hornbook.data.web.html import BadPage, decode_page
from hornbook.data.web.pages import page_texts

MAX_FILE_BYTES = (
    256 << 20
)  # a file that is one document; those of records may be any size
MAX_LINE_BYTES = 64 << 20  # one .jsonl record
COMPRESSED = (".gz", ".zst", ".lz4")

Texts = Iterator[tuple[str, str]]


def read_file(
    found: SourceFile, source: Source, filters: FilterConfig, skip: Skip
) -> Texts:
    """``(path, text)`` of every document in a file; what cannot be read goes to ``skip``."""
    try:
        with found.open() as handle:
            if isinstance(source, CrawlSource):
                yield from _crawl(found, handle, source, filters, skip)
            else:
                yield from _by_suffix(found, handle, source, filters, skip)
    except BrokenStream as error:
        skip(f"{found.path}@{error.offset}", f"damaged file ({error})")
    except OSError as error:  # vanished, no permission, a failing disk
        skip(found.path, f"cannot be read ({error.strerror or error})")


def _by_suffix(
    found: SourceFile,
    handle: IO[bytes],
    source: Source,
    filters: FilterConfig,
    skip: Skip,
) -> Texts:
    suffixes = [suffix.lower() for suffix in found.file.suffixes]
    stream: IO[bytes] = handle
    if suffixes and suffixes[-1] in COMPRESSED:
        stream = open_stream(handle)  # type: ignore[assignment]
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    settings = source if isinstance(source, FilesSource) else FilesSource(path="")
    if suffix == ".jsonl":
        yield from read_jsonl(found.path, stream, settings.text_key, skip, found.first)
    elif suffix == ".csv":
        yield from read_csv(found.path, stream, settings.text_key, skip)
    elif suffix == ".parquet":
        yield from read_parquet(found, handle, settings.text_key, skip)
    elif suffix in (".html", ".htm", ".xhtml"):
        pages = _pages(found, stream, skip)
        yield from page_texts(pages, settings.html, filters, skip)
    elif suffix == ".epub":
        yield from read_epub(found.path, handle, skip)
    else:
        yield from _whole_text(found, stream, suffix, skip)


def _crawl(
    found: SourceFile,
    handle: IO[bytes],
    source: CrawlSource,
    filters: FilterConfig,
    skip: Skip,
) -> Texts:
    plain: list[tuple[str, str]] = []

    def pages() -> Texts:
        for path, text, is_html in read_crawl(found.path, handle, skip):
            if is_html:
                yield path, text
            else:
                plain.append((path, text))

    for page in page_texts(pages(), source.html, filters, skip):
        yield from plain
        plain.clear()
        yield page
    yield from plain


def _bounded(found: SourceFile, stream: IO[bytes], skip: Skip) -> bytes | None:
    raw = stream.read(MAX_FILE_BYTES + 1)
    if len(raw) <= MAX_FILE_BYTES:
        return raw
    skip(found.path, f"larger than {MAX_FILE_BYTES >> 20} MiB; split it")
    return None


def _whole_text(found: SourceFile, stream: IO[bytes], suffix: str, skip: Skip) -> Texts:
    raw = _bounded(found, stream, skip)
    if raw is None:
        return
    try:
        text, _ = decode(raw, suffix)
    except NotText as error:
        skip(found.path, str(error))
        return
    yield found.path, text


def _pages(found: SourceFile, stream: IO[bytes], skip: Skip) -> Texts:
    raw = _bounded(found, stream, skip)
    if raw is None:
        return
    try:
        yield found.path, decode_page(raw)
    except BadPage as error:
        skip(found.path, str(error))


def read_jsonl(
    path: str, handle: IO[bytes], text_key: str, skip: Skip, first: int = 1
) -> Texts:
    """``(path:line, text)`` of each record of a JSON-lines file, one line in memory.

    ``first`` is the number of the first line.
    """
    for number, line in enumerate(bounded_lines(handle), start=first):
        place = f"{path}:{number}"
        if line is None:
            skip(place, f"line longer than {MAX_LINE_BYTES >> 20} MiB")
            continue
        if not line.strip():
            continue
        try:
            record = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            skip(place, "not valid JSON")
            continue
        text = record.get(text_key) if isinstance(record, dict) else None
        if isinstance(text, str):
            yield place, text
        elif isinstance(record, dict):
            skip(place, _wrong_key(text_key, record))
        else:
            skip(place, "not a JSON object")


def _wrong_key(text_key: str, record: dict) -> str:
    if text_key in record:
        return f"'{text_key}' is not a string"
    keys = ", ".join(sorted(map(str, record))[:5])
    return f"no key '{text_key}' (it has {keys or 'none'}; see 'text_key')"


def bounded_lines(handle: IO[bytes]) -> Iterator[bytes | None]:
    """Lines of a file; None stands for one longer than :data:`MAX_LINE_BYTES`."""
    while line := handle.readline(MAX_LINE_BYTES):
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while rest := handle.readline(1 << 20):
            if rest.endswith(b"\n"):
                break
        yield None


def read_csv(path: str, handle: IO[bytes], text_key: str, skip: Skip) -> Texts:
    """``(path:row, text)`` of each row of a CSV file with a header line."""
    csv.field_size_limit(MAX_LINE_BYTES)
    rows = csv.DictReader(_csv_lines(path, handle, skip))
    number = 0
    while True:
        number += 1
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            skip(f"{path}:{number}", f"not valid CSV ({error})")
            continue
        text = row.get(text_key)
        if text is None:
            skip(f"{path}:{number}", _wrong_key(text_key, {str(k): 0 for k in row}))
        else:
            yield f"{path}:{number}", text


def _csv_lines(path: str, handle: IO[bytes], skip: Skip) -> Iterator[str]:
    encoding = "utf-8-sig"  # a byte-order mark may begin the first line
    for number, line in enumerate(bounded_lines(handle), start=1):
        if line is None:
            skip(
                f"{path} line {number}", f"line longer than {MAX_LINE_BYTES >> 20} MiB"
            )
        else:
            yield line.decode(encoding, "replace")
            encoding = "utf-8"


def read_parquet(
    found: SourceFile, handle: IO[bytes], text_key: str, skip: Skip
) -> Texts:
    """``(path:row, text)`` of each row of a Parquet file, a thousand rows in memory."""
    path, number = found.path, found.first - 1
    try:
        file = pq.ParquetFile(handle)
        names = file.schema_arrow.names
        if text_key not in names:
            skip(path, _wrong_key(text_key, dict.fromkeys(names)))
            return
        groups = range(*(found.groups or (0, file.num_row_groups)))
        for batch in file.iter_batches(1024, groups, columns=[text_key]):
            for text in batch.column(0).to_pylist():
                number += 1
                if isinstance(text, str):
                    yield f"{path}:{number}", text
                else:
                    skip(f"{path}:{number}", f"'{text_key}' is not a string")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        skip(f"{path}:{number + 1}", f"damaged Parquet ({error})")
