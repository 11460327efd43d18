"""Hostile and broken files: counted with their place, never fatal, never a hang, in little
memory."""

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents, read_texts
from hornbook.data.filter.config import FilterConfig
from hornbook.data.read import extract as module
from hornbook.data.read import parts
from hornbook.data.read.config import (
    CrawlSource,
    FilesSource,
)
from hornbook.data.read.extract import extract
from hornbook.data.read.formats import read_file
from hornbook.data.read.sources import SourceFile, find_files

ROOT = Path(__file__).parents[3]
KINDS = ("*.txt", "*.jsonl", "*.gz", "*.zst", "*.lz4", "*.parquet", "*.csv")
LINE = json.dumps({"text": "a sound line"}) + "\n"

# Extraction in a process of its own, which tells how much memory it took at most.
MEASURED = """
import json, re, sys
from pathlib import Path
from hornbook.data.config import DataConfig
from hornbook.data.read.config import FilesSource
from hornbook.data.read.extract import extract
source = FilesSource(path=sys.argv[1], include=tuple(sys.argv[3:]))
facts = extract(DataConfig(sources=(source,), workers=1), Path(sys.argv[2]))
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({"facts": facts, "megabytes": int(peak[1]) // 1024}))
"""


def curate(path: Path, out: Path, **settings) -> dict:
    source = FilesSource(path=str(path), include=KINDS, **settings)
    return extract(DataConfig(sources=(source,), workers=1), out)


def reasons(facts: dict) -> dict[str, str]:
    return {skip["path"]: skip["reason"] for skip in facts["skipped"]}


def measured(path: Path, out: Path) -> tuple[dict, int]:
    """The facts of an extraction, and its peak memory in MiB."""
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell a process's peak memory")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), str(out), *KINDS],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return said["facts"], said["megabytes"]


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    (made / "sound.txt").write_text("a sound text")
    return made


def zeros(compressor, gigabytes: float) -> bytes:
    """What so many zero bytes are compressed to, made a piece at a time."""
    block = bytes(1 << 20)
    parts = [compressor.compress(block) for _ in range(int(gigabytes * 1024))]
    return b"".join([*parts, compressor.flush()])


def bombs() -> dict[str, bytes]:
    import zlib

    lz4 = pytest.importorskip("lz4.frame")
    frame = lz4.LZ4FrameCompressor()
    start = frame.begin()
    return {
        "gz": zeros(zlib.compressobj(9, wbits=31), 0.5),
        "zst": zeros(zstandard.ZstdCompressor().compressobj(), 0.5),
        "lz4": start + zeros(frame, 0.5),
    }


def test_a_decompression_bomb_is_given_up_in_little_memory(folder, tmp_path):
    for kind, data in bombs().items():
        (folder / f"bomb.jsonl.{kind}").write_bytes(data)
        (folder / f"bomb.txt.{kind}").write_bytes(data)
    facts, megabytes = measured(folder, tmp_path / "out")
    found = reasons(facts)
    assert len(found) == 6
    for path, reason in found.items():
        if ".jsonl." in path:
            assert "@" in path  # says where
            assert "a bomb?" in reason
        else:
            assert "a bomb?" in reason or "larger than 256 MiB" in reason
    assert facts["documents_out"] == 1
    assert megabytes < 700


def test_a_bomb_in_one_record_of_an_archive_costs_that_record(tmp_path):
    def record(body: bytes) -> bytes:
        head = f"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: {len(body)}"
        return f"{head}\r\n\r\n".encode() + body + b"\r\n\r\n"

    bomb = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n"
    )
    nested = record(bomb + gzip.compress(bytes(1 << 26))).replace(
        b"conversion", b"response"
    )
    huge = record(bytes(100 << 20))
    file = tmp_path / "a.warc.gz"
    sound = [gzip.compress(record(f"Text {n}".encode())) for n in range(3)]
    file.write_bytes(
        sound[0] + gzip.compress(nested) + sound[1] + gzip.compress(huge) + sound[2]
    )
    config = DataConfig(
        sources=(CrawlSource(path=str(file)),), filters=FilterConfig(), workers=1
    )
    facts = extract(config, tmp_path / "out")
    assert list(read_texts(tmp_path / "out")) == ["Text 0", "Text 1", "Text 2"]
    said = " ".join(reasons(facts).values())
    assert "a body larger than 16 MiB" in said
    assert "larger than 64 MiB" in said or "a bomb?" in said


@pytest.mark.parametrize("name", ["long.jsonl", "long.csv", "long.txt"])
def test_a_line_of_a_gigabyte_costs_little_memory(folder, tmp_path, name):
    """The line is a hole in a sparse file, so it takes no room on the disk either."""
    start = LINE if name.endswith("jsonl") else "text\na sound line\n"
    with open(folder / name, "wb") as file:
        file.write(start.encode())
        file.seek(1 << 30, os.SEEK_CUR)
        file.write(("\n" + start).encode())
    facts, megabytes = measured(folder, tmp_path / "out")
    assert megabytes < 600
    assert len(facts["skipped"]) == 1
    if name.endswith(".txt"):
        assert reasons(facts) == {name: "larger than 256 MiB; split it"}
    else:
        assert "line longer than 64 MiB" in facts["skipped"][0]["reason"]
        assert list(read_texts(tmp_path / "out")).count("a sound line") == 2


def test_a_line_of_a_gigabyte_in_a_compressed_file_is_passed_over(folder, tmp_path):
    """Not a bomb: what is compressed is noise. Both the whole file and its parts are read."""
    noise = random.Random(0).randbytes(1 << 20).replace(b"\n", b" ")
    packer = zstandard.ZstdCompressor().compressobj()
    with open(folder / "long.jsonl.zst", "wb") as file:
        file.write(packer.compress(LINE.encode()))
        for _ in range(100):
            file.write(packer.compress(noise))
        file.write(packer.compress(b"\n" + LINE.encode()) + packer.flush())
    facts = curate(folder, tmp_path / "out")
    assert reasons(facts) == {"long.jsonl.zst:2": "line longer than 64 MiB"}
    paths = [document.path for document in read_documents(tmp_path / "out")]
    assert paths == ["long.jsonl.zst:1", "long.jsonl.zst:3", "sound.txt"]


def test_text_that_is_not_utf8_is_reported_with_the_byte(folder, tmp_path):
    (folder / "bad.txt").write_bytes("日本語テキスト".encode("shift_jis"))
    (folder / "bad.jsonl").write_bytes(LINE.encode() + b'{"text": "\xff\xfe"}\n')
    facts = curate(folder, tmp_path / "out")
    found = reasons(facts)
    assert "byte 0 is 0x93" in found["bad.txt"]
    assert found["bad.jsonl:2"] == "not valid JSON"
    assert facts["documents_out"] == 2


def test_files_cut_off_say_where(folder, tmp_path):
    lines = "".join(json.dumps({"text": f"line {n} " * 9}) + "\n" for n in range(9999))
    packed = {
        "gz": gzip.compress(lines.encode()),
        "zst": zstandard.compress(lines.encode()),
    }
    for kind, data in packed.items():
        (folder / f"cut.jsonl.{kind}").write_bytes(data[: len(data) // 2])
    facts = curate(folder, tmp_path / "out")
    assert len(facts["skipped"]) == 2
    for path, reason in reasons(facts).items():
        assert path.startswith("cut.jsonl.")
        assert "@" in path
        assert "damaged file" in reason
    assert facts["documents_out"] > 1000  # what came before the end is kept


def test_parts_of_a_cut_off_file_are_kept_up_to_there(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "UNIT_BYTES", 20_000)
    test_files_cut_off_say_where(folder, tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_a_parquet_file_with_damage_anywhere_is_never_fatal(tmp_path, seed):
    dice = random.Random(seed)
    file = tmp_path / "x.parquet"
    texts = [f"row {n} {dice.random()}" for n in range(400)]
    pq.write_table(pa.table({"text": texts}), file, row_group_size=100)
    data = bytearray(file.read_bytes())
    if seed % 4 == 0:
        del data[dice.randrange(len(data)) :]
    for _ in range(dice.randint(1, 4)):
        if data:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    file.write_bytes(data)
    skipped: list[tuple[str, str]] = []
    source = FilesSource(path=str(file))
    found = SourceFile("s", "x.parquet", file)
    skip = lambda path, reason: skipped.append((path, reason))  # noqa: E731
    texts_read = [
        text
        for part in parts.cut_file(found, source, 1000, True, skip)
        for _, text in read_file(part, source, FilterConfig(), skip)
    ]
    assert len(texts_read) <= 400
    assert len(texts_read) == 400 or skipped
    assert all(path.startswith("x.parquet") for path, _ in skipped)


def test_a_parquet_column_that_is_not_utf8_is_damage(folder, tmp_path):
    binary = pa.array([b"sound", b"\xff\xfe\xfd"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 2, binary.buffers())
    pq.write_table(pa.table({"text": broken}), folder / "x.parquet")
    assert "damaged Parquet" in reasons(curate(folder, tmp_path / "out"))["x.parquet:1"]


def test_what_changes_between_listing_and_reading_is_skipped(
    folder, tmp_path, monkeypatch
):
    """A file that vanishes, one that becomes a pipe, one that cannot be read."""
    for name in ("gone.txt", "pipe.txt", "gone.jsonl"):
        (folder / name).write_text("was here")
    if Path("/proc/self/mem").exists():  # opens, but reading its start fails
        (folder / "broken.txt").symlink_to("/proc/self/mem")

    def changing(source, skip):
        for found in find_files(source, skip):
            if found.path.startswith(("gone", "pipe")):
                found.file.unlink()
            if found.path.startswith("pipe"):
                os.mkfifo(found.file)
            yield found

    monkeypatch.setattr(module, "find_files", changing)
    facts = curate(folder, tmp_path / "out")
    found = reasons(facts)
    assert found.pop("broken.txt", "").startswith(("", "cannot be read (Input/output"))
    assert found == {
        "gone.txt": "cannot be read (No such file or directory)",
        "gone.jsonl": "cannot be read (No such file or directory)",
        "pipe.txt": "cannot be read (not a regular file)",
    }
    assert facts["documents_out"] == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_skipped(folder, tmp_path):
    (folder / "secret.txt").write_text("secret")
    (folder / "secret.txt").chmod(0)
    facts = curate(folder, tmp_path / "out")
    assert reasons(facts) == {"secret.txt": "cannot be read (Permission denied)"}


def test_a_folder_named_like_a_file_a_loop_and_a_pipe(folder, tmp_path):
    (folder / "x.jsonl").mkdir()
    (folder / "x.jsonl" / "inner.jsonl").write_text(LINE)
    (folder / "x.jsonl" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "self.txt").symlink_to("self.txt")
    os.mkfifo(folder / "pipe.jsonl")
    facts = curate(folder, tmp_path / "out")
    paths = [document.path for document in read_documents(tmp_path / "out")]
    assert paths == ["sound.txt", "x.jsonl/inner.jsonl:1"]
    assert set(reasons(facts)) == {"self.txt", "pipe.jsonl", "x.jsonl/loop"}
