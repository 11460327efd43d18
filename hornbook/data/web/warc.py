"""Web archives: WARC, WET and WAT records, and the older ARC, record by record.

Every damaged record is reported with its place and passed over; nothing is fatal, and one
record at most is in memory. The formats: ISO 28500 (WARC), Internet Archive's ARC 1.0.
"""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from hornbook.data.read.compressed import (
    GZIP,
    BrokenStream,
    GzipStream,
    open_stream,
)
from hornbook.data.read.sources import Skip

MAX_LINE = 1 << 16
MAX_HEADERS = 1000
MAX_RECORD_BYTES = 64 << 20
SEARCHED = 1 << 20  # bytes at a time


@dataclass(frozen=True)
class Record:
    """One record: ``headers`` with lower-case names, and the bytes that follow them."""

    kind: str  # response, resource, conversion, metadata, request, warcinfo, ...
    url: str
    headers: dict[str, str]
    payload: bytes
    member: int | None = None  # where its gzip member begins in the file


class BadRecord(Exception):
    """A record that breaks the format; the message says how."""


def read_records(path: str, handle: IO[bytes], skip: Skip) -> Iterator[Record]:
    """The records of an archive, plain or compressed; damage goes to ``skip``."""
    stream = open_stream(handle)
    arc = _peek(stream).startswith(b"filedesc:")
    while True:
        place = _place(stream, handle)
        try:
            record = _arc_record(stream) if arc else _warc_record(stream)
        except (BadRecord, BrokenStream) as error:
            skip(
                f"{path}@{getattr(error, 'offset', place)}", f"broken record ({error})"
            )
            stream = _after_damage(stream, isinstance(error, BrokenStream), arc)
            if stream is None:
                return
            continue
        if record is None:
            return
        yield record


def next_record(handle: IO[bytes], place: int) -> int | None:
    """Where the first gzip member at ``place`` or behind it begins that holds a record."""
    tail = b""
    handle.seek(place)
    while block := handle.read(SEARCHED):
        data = tail + block
        start = handle.tell() - len(data)
        at = data.find(GZIP)
        while at >= 0:
            if _holds_record(handle, start + at):
                return start + at
            at = data.find(GZIP, at + 1)
        handle.seek(start + len(data))
        tail = data[1 - len(GZIP) :]
    return None


def _holds_record(handle: IO[bytes], place: int) -> bool:
    handle.seek(place)
    try:
        head = zlib.decompressobj(wbits=31).decompress(handle.read(1 << 10), 5)
    except zlib.error:
        return False
    return head == b"WARC/"


def _peek(stream: io.BufferedIOBase) -> bytes:
    try:
        return stream.peek(16)  # type: ignore[attr-defined]
    except BrokenStream:
        return b""


def _place(stream: io.BufferedIOBase, handle: IO[bytes]) -> int:
    raw = getattr(stream, "raw", None)
    return raw.place if isinstance(raw, GzipStream) else handle.tell()


def _member(stream: io.BufferedIOBase) -> int | None:
    """Where the gzip member begins that the line just read came from."""
    raw = getattr(stream, "raw", None)
    return raw.start if isinstance(raw, GzipStream) else None


def _after_damage(
    stream: io.BufferedIOBase, broken_data: bool, arc: bool
) -> io.BufferedIOBase | None:
    """The stream, set to where another record may begin; None where there is no such place."""
    if not broken_data and _peek(stream).startswith(b"WARC/"):
        return stream
    raw = getattr(stream, "raw", None)
    # Where all is one member, or this is the first, later records are in plain sight.
    whole = isinstance(raw, GzipStream) and raw.start == raw.first
    if isinstance(raw, GzipStream) and (broken_data or arc or not whole):
        stream.detach()  # else the old reader closes the file when it goes
        return io.BufferedReader(raw, 1 << 16) if raw.resync() else None
    if broken_data or arc:
        return None
    try:
        while _peek(stream):
            if stream.peek(5).startswith(b"WARC/"):  # type: ignore[attr-defined]
                return stream
            stream.readline(MAX_LINE)
    except BrokenStream:
        pass
    return None


def _warc_record(stream: io.BufferedIOBase) -> Record | None:
    version = _line(stream, blank_allowed=True)
    if not version:
        return None
    if not version.startswith("WARC/"):
        raise BadRecord(f"a record begins with {version[:40]!r}, not WARC/1.x")
    member = _member(stream)
    headers = read_headers(stream)
    kind = headers.get("warc-type", "")
    payload = _payload(stream, headers.get("content-length", ""))
    url = headers.get("warc-target-uri", "").strip("<>")
    return Record(kind, url, headers, payload, member)


def _arc_record(stream: io.BufferedIOBase) -> Record | None:
    line = _line(stream, blank_allowed=True)
    if not line:
        return None
    fields = line.rsplit(" ", 4)  # a URL may hold blanks, so the others are counted off
    if len(fields) != 5:
        raise BadRecord(f"an ARC record begins with {line[:40]!r}")
    url, _, date, content_type, length = fields
    headers = {"content-type": content_type, "warc-date": date}
    kind = "warcinfo" if url.startswith("filedesc:") else "response"
    member = _member(stream)
    return Record(kind, url, headers, _payload(stream, length), member)


def _line(stream: io.BufferedIOBase, blank_allowed: bool = False) -> str:
    """One line without its end; '' at the end of the stream, or for a blank line."""
    for _ in range(MAX_HEADERS):
        raw = stream.readline(MAX_LINE)
        if len(raw) == MAX_LINE:
            raise BadRecord("a header line that does not end")
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        if text.strip() or not raw or not blank_allowed:
            return text
    raise BadRecord("nothing but blank lines")


def read_headers(stream: io.BufferedIOBase) -> dict[str, str]:
    """``Name: value`` lines up to a blank one; folded lines are joined, names lower-case."""
    headers: dict[str, str] = {}
    name = ""
    for _ in range(MAX_HEADERS):
        line = _line(stream)
        if not line.strip():
            return headers
        if line[0] in " \t" and name:
            headers[name] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon:
            headers.setdefault(name, value.strip())
        else:
            name = ""  # not a header, so nothing to fold a line into
    raise BadRecord(f"more than {MAX_HEADERS} header lines")


def _payload(stream: io.BufferedIOBase, length: str) -> bytes:
    if not length.isdigit():
        raise BadRecord(f"a content length of {length[:40]!r}")
    size = int(length)
    parts, left = [], size
    while left and (block := stream.read1(min(left, 1 << 20))):
        left -= len(block)
        if size <= MAX_RECORD_BYTES:
            parts.append(block)
        if left and _record_begins(stream):
            break  # the length is wrong: don't swallow the records that follow
    if size > MAX_RECORD_BYTES:
        raise BadRecord(f"larger than {MAX_RECORD_BYTES >> 20} MiB")
    if left:
        raise BadRecord(f"cut off after {size - left} of {size} bytes")
    return b"".join(parts)


def _record_begins(stream: io.BufferedIOBase) -> bool:
    """Whether the next bytes begin both a gzip member and a record."""
    raw = getattr(stream, "raw", None)
    if not isinstance(raw, GzipStream):
        return False
    head = stream.peek(5)  # type: ignore[attr-defined]
    return raw.began and head.startswith(b"WARC/")
