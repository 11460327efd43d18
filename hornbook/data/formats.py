"""What is in a file: one text, or one per record. Broken parts are skipped and counted."""

from collections.abc import Iterator
from typing import IO

import msgspec

from hornbook.data.config import FilesSource, Source
from hornbook.data.decode import NotText, decode
from hornbook.data.sources import Skip, SourceFile

MAX_FILE_BYTES = 256 << 20  # a file that is one document; .jsonl may be any size
MAX_LINE_BYTES = 64 << 20  # one .jsonl record


def read_file(
    found: SourceFile, source: Source, skip: Skip
) -> Iterator[tuple[str, str]]:
    """``(path, text)`` of every document in a file; what cannot be read goes to ``skip``."""
    try:
        with open(found.file, "rb") as handle:
            if found.file.suffix == ".jsonl":
                key = source.text_key if isinstance(source, FilesSource) else "text"
                yield from read_jsonl(found.path, handle, key, skip)
            else:
                yield from _whole_text(found, handle, skip)
    except OSError as error:  # vanished, no permission, a failing disk
        skip(found.path, f"cannot be read ({error.strerror or error})")


def _whole_text(
    found: SourceFile, handle: IO[bytes], skip: Skip
) -> Iterator[tuple[str, str]]:
    raw = handle.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        skip(found.path, f"larger than {MAX_FILE_BYTES >> 20} MiB; split it")
        return
    try:
        text, _ = decode(raw, found.file.suffix)
    except NotText as error:
        skip(found.path, str(error))
        return
    yield found.path, text


def read_jsonl(
    path: str, handle: IO[bytes], text_key: str, skip: Skip
) -> Iterator[tuple[str, str]]:
    """``(path:line, text)`` of each record of a JSON-lines file, one line in memory."""
    for number, line in enumerate(bounded_lines(handle), start=1):
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
