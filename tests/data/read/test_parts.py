"""A file read in parts gives the same documents, under the same names, as read whole."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.filter.config import FilterConfig
from hornbook.data.read.config import (
    CrawlSource,
    FilesSource,
)
from hornbook.data.read.formats import read_file
from hornbook.data.read.parts import cut_file
from hornbook.data.read.sources import SourceFile

PACK = {
    ".jsonl": lambda data: data,
    ".jsonl.zst": zstandard.compress,
    ".jsonl.gz": gzip.compress,
}
LINES = st.one_of(
    st.text(max_size=30).map(lambda text: json.dumps({"text": text}).encode()),
    st.sampled_from([b"", b"{broken", b'{"other": 1}', b"\r", b'{"text": "\xff"}']),
)

FILES = FilesSource(path="x")


def read(found: SourceFile, skipped: list, source=FILES) -> list[tuple[str, str]]:
    skip = lambda path, why: skipped.append((path, why))  # noqa: E731
    return list(read_file(found, source, FilterConfig(), skip))


def read_in_parts(found: SourceFile, unit: int, skipped: list, source=FILES):
    skip = lambda path, why: skipped.append((path, why))  # noqa: E731
    cut = list(cut_file(found, source, unit, True, skip))
    return [document for part in cut for document in read(part, skipped, source)], len(
        cut
    )


@settings(max_examples=60)
@given(
    lines=st.lists(LINES, max_size=60),
    end=st.sampled_from([b"", b"\n"]),
    suffix=st.sampled_from(sorted(PACK)),
    unit=st.integers(4, 300),
)
def test_lines(tmp_path_factory, lines, end, suffix, unit):
    file = tmp_path_factory.mktemp("parts") / f"x{suffix}"
    file.write_bytes(PACK[suffix](b"\n".join(lines) + end))
    found = SourceFile("s", file.name, file)
    skipped, skipped_in_parts = [], []
    whole = read(found, skipped)
    parts, _ = read_in_parts(found, unit, skipped_in_parts)
    assert parts == whole
    assert skipped_in_parts == skipped


@pytest.mark.parametrize("unit", [100, 1000, 100_000])
def test_rows(tmp_path, unit):
    file = tmp_path / "x.parquet"
    texts = [None if n % 50 == 7 else f"row {n} {'x' * (n % 31)}" for n in range(500)]
    pq.write_table(pa.table({"text": texts}), file, row_group_size=23)
    found = SourceFile("s", "x.parquet", file)
    skipped, skipped_in_parts = [], []
    whole = read(found, skipped)
    parts, count = read_in_parts(found, unit, skipped_in_parts)
    assert parts == whole
    assert skipped_in_parts == skipped
    assert len(skipped) == 10
    assert count > 1 or unit > 10_000


def test_parts_add_up_to_the_file(tmp_path):
    """For the progress: their sizes are shares of the bytes on the disk."""
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"".join(b'{"text": "%d"}\n' % n for n in range(1000)))
    for packed in PACK:
        path = tmp_path / f"y{packed}"
        path.write_bytes(PACK[packed](file.read_bytes()))
        found = SourceFile("s", path.name, path)
        source = FilesSource(path="x")
        cut = list(cut_file(found, source, 1000, True, lambda *_: None))
        assert len(cut) > 5
        assert sum(part.size() for part in cut) == found.size()


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
    unit=st.integers(40, 4000),
    data=st.data(),
)
def test_records_of_an_archive(tmp_path_factory, sizes, unit, data):
    """Also where members are damaged, and where compressed data looks like a member."""
    members = []
    for number, size in enumerate(sizes):
        text = f"{number} " + "\x1f\x8b\x08 WARC/1.0 text" * (size // 20)
        record = (
            f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://a/{number}\r\n"
            f"Content-Length: {len(text.encode())}\r\n\r\n{text}\r\n\r\n"
        )
        members.append(gzip.compress(record.encode(), data.draw(st.integers(0, 9))))
    broken = data.draw(st.sets(st.integers(1, len(sizes)), max_size=3))
    for number in broken - {len(sizes)}:
        middle = len(members[number]) // 2
        changed = bytes(b ^ 0x55 for b in members[number][middle : middle + 9])
        members[number] = (
            members[number][:middle] + changed + members[number][middle + 9 :]
        )
    file = tmp_path_factory.mktemp("parts") / "x.warc.wet.gz"
    file.write_bytes(b"".join(members))
    found, source = SourceFile("s", file.name, file), CrawlSource(path="x")
    skipped, skipped_in_parts = [], []
    whole = read(found, skipped, source)
    parts, count = read_in_parts(found, unit, skipped_in_parts, source)
    assert parts == whole
    assert [place for place, _ in skipped_in_parts] == [place for place, _ in skipped]
    if not broken and file.stat().st_size > 2 * unit + max(map(len, members)):
        assert count > 1
    starts = [sum(map(len, members[:n])) for n in range(len(members))]
    assert {path for path, _ in whole} <= {f"x.warc.wet.gz@{at}" for at in starts}
