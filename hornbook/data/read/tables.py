"""Texts in tables: the rows of CSV and Parquet files, and of JSON files that hold records."""

import codecs
import csv
import io
from collections.abc import Iterator
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.data.read.sources import Skip, SourceFile

MAX_FIELD_BYTES = 64 << 20
SAMPLE_BYTES = 1 << 16
DELIMITERS = ",;\t|"

Texts = Iterator[tuple[str, str]]


def wrong_key(text_key: str, record: dict) -> str:
    """Why a record gives no text: what it has in place of ``text_key``."""
    if text_key in record:
        return f"'{text_key}' is not a string"
    keys = ", ".join(sorted(map(str, record))[:5])
    return f"no key '{text_key}' (it has {keys or 'none'}; see 'text_key')"


def read_csv(
    path: str, handle: IO[bytes], text_key: str, skip: Skip, encoding: str = ""
) -> Texts:
    """``(path:row, text)`` of each row of a CSV or TSV file with a header line.

    The delimiter is the one that makes ``text_key`` a column; failing that, the header's
    most frequent.
    """
    sample = handle.peek(SAMPLE_BYTES)[:SAMPLE_BYTES]  # type: ignore[attr-defined]
    encoding = encoding or _encoding(sample)
    lines = io.TextIOWrapper(handle, encoding, errors="surrogateescape", newline="")  # type: ignore[arg-type]
    csv.field_size_limit(MAX_FIELD_BYTES)
    dialect = _dialect(sample.decode(encoding, "replace"), text_key)
    rows = csv.DictReader(_bounded(path, lines, skip), **dialect)
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
            skip(f"{path}:{number}", wrong_key(text_key, {str(k): 0 for k in row}))
        elif not text.isascii() and _has_surrogates(text):
            skip(f"{path}:{number}", f"not {encoding} (see 'encoding')")
        else:
            yield f"{path}:{number}", text
    lines.detach()


def _bounded(path: str, lines: io.TextIOWrapper, skip: Skip) -> Iterator[str]:
    """The lines of a file, without those too long to be one."""
    number = 0
    while line := lines.readline(MAX_FIELD_BYTES):
        number += 1
        if len(line) < MAX_FIELD_BYTES or line.endswith("\n"):
            yield line
            continue
        skip(f"{path} line {number}", f"line longer than {MAX_FIELD_BYTES >> 20} MiB")
        while rest := lines.readline(1 << 20):
            if rest.endswith("\n"):
                break


def _encoding(sample: bytes) -> str:
    """UTF-8, UTF-16 by its mark, or else Windows-1252, in which spreadsheets save."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _dialect(sample: str, text_key: str) -> dict[str, Any]:
    header = sample.removeprefix("\ufeff").partition("\n")[0].rstrip("\r")
    having = [
        d for d in DELIMITERS if text_key in next(csv.reader([header], delimiter=d), [])
    ]
    delimiter = max(having or DELIMITERS, key=header.count)
    if delimiter != "\t":
        return {"delimiter": delimiter}
    # Most writers of TSV quote nothing: a lone quotation mark would swallow lines.
    quoted = _is_quoted(sample, delimiter)
    return {"delimiter": delimiter} | ({} if quoted else {"quoting": csv.QUOTE_NONE})


def _is_quoted(sample: str, delimiter: str) -> bool:
    """Whether every quotation mark that opens a field of the sample also closes it."""
    try:
        for _ in csv.reader(
            io.StringIO(sample, newline=""), delimiter=delimiter, strict=True
        ):
            pass
    except csv.Error as error:
        cut = "end of data" in str(error) and len(sample) > SAMPLE_BYTES // 4
        return cut and sample.count('"') > 2
    return True


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def read_parquet(
    found: SourceFile, handle: IO[bytes], text_key: str, skip: Skip
) -> Texts:
    """``(path:row, text)`` of each row of a Parquet file, a thousand rows in memory."""
    path, number = found.path, found.first - 1
    try:
        file = pq.ParquetFile(handle)
        schema = file.schema_arrow
        if text_key not in schema.names:
            skip(path, wrong_key(text_key, dict.fromkeys(schema.names)))
            return
        kind = schema.field(text_key).type
        if not _is_text(kind):
            skip(path, f"the column is no text ('{text_key}' holds {str(kind)[:80]})")
            return
        groups = range(*(found.groups or (0, file.num_row_groups)))
        for batch in file.iter_batches(1024, groups, columns=[text_key]):
            for value in batch.column(0).to_pylist():
                number += 1
                text = _text(value)
                if text is None:
                    skip(f"{path}:{number}", f"'{text_key}' is not a string")
                else:
                    yield f"{path}:{number}", text
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        skip(f"{path}:{number + 1}", f"damaged Parquet ({error})")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type  # type: ignore[attr-defined]
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    binary = (pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in (*tests, *binary))


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return value


def json_records(raw: bytes, text_key: str) -> list[Any] | None:
    """The records of a JSON file that is a list of objects with ``text_key``; else None."""
    if not raw.lstrip().startswith(b"["):
        return None
    try:
        records = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    has_text = any(isinstance(r, dict) and text_key in r for r in records[:100])
    return records if has_text else None


def is_json_lines(first: bytes, text_key: str) -> bool:
    """Whether the first line of a file is a record of JSON lines with ``text_key``."""
    try:
        record = msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(record, dict) and text_key in record
