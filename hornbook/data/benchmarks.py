"""The items of benchmarks, from their files: what decontamination looks for."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import xxhash

from hornbook.core.errors import UserError
from hornbook.data.read.compressed import BrokenStream, open_stream

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt")
MAX_FIELD = 1 << 27  # characters of one field of a .csv file
PACKED = (".gz", ".zst", ".lz4")


@dataclass(frozen=True)
class Item:
    """One question, problem or passage; ``name`` says where it stands."""

    name: str
    text: str


def read_benchmarks(paths: tuple[str, ...], folder: str = "") -> list[Item]:
    """Every item of every file; a folder stands for the files below it.

    Raises :class:`UserError` for one that is missing or holds no text.
    """
    items: list[Item] = []
    for path in paths:
        found = [item for file in _files(Path(folder) / path) for item in _items(file)]
        if not found:
            raise UserError(f"data.decontaminate.benchmarks: {path} holds no text.")
        items += found
    return items


def digest(items: list[Item]) -> str:
    """Changes when an item does."""
    state = xxhash.xxh3_128()
    for item in items:
        state.update(msgspec.json.encode((item.name, item.text)))
    return state.hexdigest()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and _suffix(p) in SUFFIXES)


def _suffix(path: Path) -> str:
    """What a file holds, by its name without that of its compression."""
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix


def _items(path: Path) -> Iterator[Item]:
    try:
        with open(path, "rb") as handle:
            for number, text in _texts(path, open_stream(handle)):
                if text.strip():
                    yield Item(f"{path.name}:{number}", text)
    except (OSError, BrokenStream, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(
            f"data.decontaminate.benchmarks: {path} cannot be read ({why})."
        ) from None


def _texts(path: Path, stream: io.BufferedIOBase) -> Iterator[tuple[int, str]]:
    kind = _suffix(path)
    if kind in (".csv", ".tsv"):
        csv.field_size_limit(MAX_FIELD)
        lines = io.TextIOWrapper(
            cast(IO[bytes], stream), "utf-8", "replace", newline=""
        )
        rows = csv.reader(lines, delimiter="," if kind == ".csv" else "\t")
        yield from ((number, "\n".join(row)) for number, row in enumerate(rows, 1))
    elif kind == ".json":
        records = _record(stream.read(), path, 1)
        if isinstance(records, dict):  # {"examples": [...]}, or one record
            lists = [v for v in records.values() if isinstance(v, list)]
            records = max(lists, key=len) if lists else [records]
        yield from ((n, "\n".join(_strings(r))) for n, r in enumerate(records or [], 1))
    else:
        for number, line in enumerate(stream, start=1):
            if kind == ".jsonl":
                yield number, "\n".join(_strings(_record(line, path, number)))
            else:
                yield number, line.decode("utf-8", "replace").strip()


def _record(line: bytes, path: Path, number: int) -> Any:
    try:
        return msgspec.json.decode(line) if line.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} line {number} is not valid JSON: {error}.") from None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
