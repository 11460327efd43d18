"""What is in a file: one text, or one per record. Broken parts are skipped and counted."""

import io
from collections.abc import Iterator
from itertools import islice
from typing import IO

import msgspec

from hornbook.data.filter.config import FilterConfig
from hornbook.data.pool import at
from hornbook.data.read.compressed import BrokenStream, open_stream
from hornbook.data.read.config import (
    CommonCrawlSource,
    CrawlSource,
    FilesSource,
    GitSource,
    HubSource,
    Source,
)
from hornbook.data.read.decode import NotText, decode
from hornbook.data.read.epub import read_epub
from hornbook.data.read.gutenberg import cut_gutenberg
from hornbook.data.read.languages import language_of
from hornbook.data.read.lines import join_lines
from hornbook.data.read.pdf import BadPdf, pdf_text
from hornbook.data.read.repository import CodeFile, read_code
from hornbook.data.read.sources import Note, Skip, SourceFile
from hornbook.data.read.tables import (
    SAMPLE_BYTES,
    is_json_lines,
    json_records,
    read_csv,
    read_parquet,
    wrong_key,
)
from hornbook.data.read.zstd import refuse_dictionary
from hornbook.data.web.crawl import read_crawl
from hornbook.data.web.html import BadPage, decode_page
from hornbook.data.web.pages import page_texts

MAX_FILE_BYTES = (
    256 << 20
)  # a file that is one document; those of records may be any size
MAX_LINE_BYTES = 64 << 20  # one .jsonl record
COMPRESSED = (".gz", ".zst", ".lz4")
PDF_SECONDS = 60.0  # for one file
PROSE = ("", "text", "html")  # languages of files that may be mended as prose
# Records read before their pages are judged together, and characters that end it sooner.
CRAWL_BATCH, CRAWL_CHARACTERS = 64, 32 << 20

Texts = Iterator[tuple[str, str]]


def _ignore(path: str, facts: dict[str, str]) -> None:
    """A :data:`Note` for those who don't ask."""


def read_file(
    found: SourceFile,
    source: Source,
    filters: FilterConfig,
    skip: Skip,
    note: Note = _ignore,
) -> Texts:
    """``(path, text)`` of every document in a file; what cannot be read goes to ``skip``.

    ``note`` hears, before a document comes out, what is known of it: its ``url``, or its
    ``licence`` and programming ``language``.
    """
    try:
        if isinstance(found, CodeFile) and isinstance(source, GitSource):
            yield from read_code(found, source, skip, note)
            return
        with found.open() as handle:
            if isinstance(source, CrawlSource | CommonCrawlSource):
                yield from _crawl(found, handle, source, filters, skip, note)
            else:
                settings = _settings(source)
                for path, text in _by_suffix(found, handle, settings, filters, skip):
                    yield path, _mended(path, text, settings, note)
    except BrokenStream as error:
        skip(f"{found.path}@{error.offset}", f"damaged file ({error})")
    except OSError as error:  # vanished, no permission, a failing disk
        skip(found.path, f"cannot be read ({error.strerror or error})")


def _settings(source: Source) -> FilesSource:
    """How the files of a source are read, whatever its kind."""
    if isinstance(source, FilesSource):
        return source
    if isinstance(source, HubSource):
        return FilesSource(
            path="", text_key=source.text_key, join_lines=source.join_lines
        )
    return FilesSource(path="", gutenberg=False)


def _mended(path: str, text: str, settings: FilesSource, note: Note) -> str:
    """Prose without what its publisher or its line length added, as far as asked for."""
    if language_of(path) not in PROSE:
        return text
    if settings.gutenberg and (book := cut_gutenberg(text)) is not text:
        note(path, {"mended": "Gutenberg header and footer cut"})
        text = book
    return join_lines(text) if settings.join_lines else text


def _by_suffix(
    found: SourceFile,
    handle: IO[bytes],
    settings: FilesSource,
    filters: FilterConfig,
    skip: Skip,
) -> Texts:
    suffixes = [suffix.lower() for suffix in found.file.suffixes]
    stream: IO[bytes] = handle
    if suffixes and suffixes[-1] in COMPRESSED:
        refuse_dictionary(handle)
        stream = open_stream(handle)  # type: ignore[assignment]
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix in (".jsonl", ".ndjson"):
        yield from read_jsonl(found.path, stream, settings.text_key, skip, found.first)
    elif suffix == ".json":
        yield from _json(found, stream, settings, skip)
    elif suffix in (".csv", ".tsv"):
        place = (found.path, stream, settings.text_key, skip, settings.encoding)
        yield from read_csv(*place)
    elif suffix == ".parquet":
        yield from read_parquet(found, handle, settings.text_key, skip)
    elif suffix in (".html", ".htm", ".xhtml"):
        pages = _pages(found, stream, skip)
        yield from page_texts(pages, settings.html, filters, skip)
    elif suffix == ".epub":
        yield from read_epub(found.path, handle, skip)
    elif suffix == ".pdf":
        yield from _pdf(found, stream, skip)
    else:
        yield from _whole_text(found, stream, settings, suffix, skip)


def _crawl(
    found: SourceFile,
    handle: IO[bytes],
    source: CrawlSource | CommonCrawlSource,
    filters: FilterConfig,
    skip: Skip,
    note: Note,
) -> Texts:
    refuse_dictionary(handle)
    records = read_crawl(found.path, handle, source.wat_titles, skip, note)
    while batch := _batch(records):
        html = [(path, text) for path, text, is_html in batch if is_html]
        found_texts = dict(page_texts(html, source.html, filters, skip))
        for path, text, is_html in batch:
            if not is_html:
                yield path, text
            elif path in found_texts:
                yield path, found_texts[path]


def _batch(records: Iterator[tuple[str, str, bool]]) -> list[tuple[str, str, bool]]:
    """The next few records: so many at most, and so many characters but for the last."""
    batch: list[tuple[str, str, bool]] = []
    size = 0
    for record in islice(records, CRAWL_BATCH):
        batch.append(record)
        size += len(record[1])
        if size >= CRAWL_CHARACTERS:
            break
    return batch


def _bounded(found: SourceFile, stream: IO[bytes], skip: Skip) -> bytes | None:
    raw = stream.read(MAX_FILE_BYTES + 1)
    if len(raw) <= MAX_FILE_BYTES:
        return raw
    skip(found.path, f"larger than {MAX_FILE_BYTES >> 20} MiB; split it")
    return None


def _json(
    found: SourceFile, stream: IO[bytes], settings: FilesSource, skip: Skip
) -> Texts:
    """JSON lines or a list of records, by whichever has ``text_key``; else plain text."""
    key, first = settings.text_key, stream.peek(SAMPLE_BYTES)  # type: ignore[attr-defined]
    if is_json_lines(first.partition(b"\n")[0], key):
        yield from read_jsonl(found.path, stream, key, skip)
        return
    raw = _bounded(found, stream, skip)
    if raw is None:
        return
    records = json_records(raw, key)
    if records is not None or is_json_lines(raw.partition(b"\n")[0], key):
        raw = b"\n".join(map(msgspec.json.encode, records)) if records else raw
        yield from read_jsonl(found.path, io.BytesIO(raw), key, skip)
    else:
        yield from _whole_text(found, io.BytesIO(raw), settings, ".json", skip)


def _whole_text(
    found: SourceFile,
    stream: IO[bytes],
    settings: FilesSource,
    suffix: str,
    skip: Skip,
) -> Texts:
    raw = _bounded(found, stream, skip)
    if raw is None:
        return
    try:
        text, _ = decode(raw, suffix, settings.encoding)
    except NotText as error:
        skip(found.path, str(error))
        return
    yield found.path, text


def _pdf(found: SourceFile, stream: IO[bytes], skip: Skip) -> Texts:
    raw = _bounded(found, stream, skip)
    if raw is None:
        return
    try:
        at(found.path, "reading a PDF", PDF_SECONDS)
        yield found.path, pdf_text(raw)
    except BadPdf as error:
        skip(found.path, str(error))


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
            skip(place, wrong_key(text_key, record))
        else:
            skip(place, "not a JSON object")


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
