"""What a web server answered: status, headers, and the body as it was meant to be read."""

import io
import re
import zlib
from dataclasses import dataclass

from hornbook.data.web.warc import BadRecord, read_headers

MAX_BODY_BYTES = 16 << 20  # after decompression; longer pages are no prose


@dataclass(frozen=True)
class Answer:
    """An HTTP response, its transfer and content encodings undone."""

    status: int
    media_type: str  # text/html
    charset: str  # as the header says, '' when it does not
    body: bytes


def parse_answer(raw: bytes) -> Answer:
    """Read an HTTP response; raises :class:`BadRecord` where that is not possible."""
    stream = io.BytesIO(raw)
    first = stream.readline(1 << 12)
    status = re.match(rb"HTTP/\S+\s+(\d{3})", first)
    if not status:
        raise BadRecord("no HTTP status line")
    headers = read_headers(stream)
    body = stream.read()
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = join_chunks(body)
    body = decode_body(body, headers.get("content-encoding", "").lower())
    media_type, charset = parse_content_type(headers.get("content-type", ""))
    return Answer(int(status[1]), media_type, charset, body)


def parse_content_type(value: str) -> tuple[str, str]:
    """``text/html; charset="utf-8"`` -> ``("text/html", "utf-8")``."""
    media_type, _, rest = value.partition(";")
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", rest, re.IGNORECASE)
    return media_type.strip().lower(), charset[1].lower() if charset else ""


def join_chunks(body: bytes) -> bytes:
    """Undo chunked transfer; bytes that only claim to be chunked come back as they are."""
    parts, at = [], 0
    while at < len(body):
        end = body.find(b"\n", at, at + 100)
        size = body[at:end].split(b";")[0].strip() if end >= 0 else b""
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
            return b"".join(parts) if parts else body
        length = int(size, 16)
        if length == 0:
            break
        parts.append(body[end + 1 : end + 1 + length])
        at = end + 1 + length
        at += 2 if body[at : at + 2] == b"\r\n" else body[at : at + 1] == b"\n"
    return b"".join(parts)


def decode_body(body: bytes, encoding: str) -> bytes:
    """Undo ``Content-Encoding``, as far as :data:`MAX_BODY_BYTES`."""
    if encoding in ("gzip", "x-gzip", "deflate"):
        body = _inflate(body)
    elif encoding not in ("", "identity", "none", "utf-8"):
        raise BadRecord(f"content encoding {encoding[:40]!r}")
    if len(body) > MAX_BODY_BYTES:
        raise BadRecord(f"a body larger than {MAX_BODY_BYTES >> 20} MiB")
    return body


def _inflate(body: bytes) -> bytes:
    for wbits in (47, -15):  # gzip or zlib by its header; then deflate without one
        try:
            return zlib.decompressobj(wbits).decompress(body, MAX_BODY_BYTES + 1)
        except zlib.error:
            continue
    return body  # archives often keep the header of a body they stored decompressed
