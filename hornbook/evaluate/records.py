"""The records of a benchmark, from whatever files they are kept in."""

import csv
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import zstandard

from hornbook.core.errors import UserError
from hornbook.evaluate.task import Files

Record = dict[str, Any]
PACKED = (".gz", ".zst")


def find(folder: Path, patterns: str, what: str) -> list[Path]:
    """The files that the first of ``a | b | c`` with any names, in order.

    Raises :class:`UserError` where none of them names one.
    """
    for pattern in patterns.split("|"):
        found = sorted(folder.glob(pattern.strip()))
        if found:
            return found
    raise UserError(
        f"{what}: there is no file '{patterns}' in {folder}; name the folder of the "
        "benchmarks with --data."
    )


def bare_name(path: Path) -> str:
    """A file's name without its endings and without ``_test``, ``_val`` or ``_dev``."""
    name = path.name.split(".")[0]
    return re.sub(r"_(test|val|dev)$", "", name)


def read(path: Path, files: Files, labels: Path | None = None) -> Iterator[Record]:
    """Every record of a file, with ``file``, ``number`` and perhaps ``label`` beside its keys.

    Raises :class:`UserError` that names file and line for what cannot be read.
    """
    extra = iter(_text(labels).splitlines()) if labels else None
    for number, record in enumerate(_records(path, files)):
        if extra is not None:
            label = next(extra, None)
            if label is None:
                raise UserError(f"{labels} has fewer lines than {path} has records.")
            record["label"] = label.strip()
        yield {**record, "file": bare_name(path), "number": number, "record": record}


def _records(path: Path, files: Files) -> Iterator[Record]:
    suffixes = [suffix for suffix in path.suffixes if suffix not in PACKED]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".jsonl":
        for number, line in enumerate(_text(path).splitlines(), start=1):
            if line.strip():
                yield _object(line, path, number)
    elif suffix in (".csv", ".tsv"):
        yield from _table(path, files.columns, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".parquet":
        yield from pq.read_table(path).to_pylist()
    elif files.split:
        text = _text(path)
        starts = [match.start() for match in re.finditer(files.split, text)]
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            yield {"page": text[start:end]}
    elif files.lines:
        lines = _text(path).splitlines()
        for start in range(0, len(lines) - files.lines + 1, files.lines):
            yield {"lines": lines[start : start + files.lines]}
    else:
        raise UserError(
            f"{path}: say with 'files.lines' or 'files.split' what a record is."
        )


def _object(line: str, path: Path, number: int) -> Record:
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise UserError(f"{path} line {number} is not valid JSON: {error}.") from None
    if not isinstance(record, dict):
        raise UserError(f"{path} line {number} is not a JSON object.")
    return record


def _table(path: Path, columns: tuple[str, ...], delimiter: str) -> Iterator[Record]:
    rows = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter)
    names = columns or tuple(next(rows, ()))
    for number, row in enumerate(rows, start=1 if columns else 2):
        if len(row) != len(names):
            raise UserError(
                f"{path} row {number} has {len(row)} columns, not {len(names)} "
                f"({', '.join(names)})."
            )
        yield dict(zip(names, row, strict=True))


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
        elif path.suffix == ".zst":
            raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
        return raw.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zstandard.ZstdError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
