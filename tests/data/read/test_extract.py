"""Sources and their reading: every stray is counted and listed, none is fatal."""

import os
import sys

import pytest

from hornbook.core.errors import UserError
from hornbook.data.config import DataConfig
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.documents import read_documents, read_texts
from hornbook.data.read import extract as module
from hornbook.data.read import formats
from hornbook.data.read.config import (
    FilesSource,
    StdlibSource,
)
from hornbook.data.read.extract import extract
from hornbook.data.read.sources import find_files, probe


def config(path, **settings) -> DataConfig:
    return DataConfig(sources=(FilesSource(path=str(path), **settings),))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "texts"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("first text\n")
    (root / "sub" / "b.md").write_text("# second text\n")
    (root / "c.jsonl").write_text('{"text": "third"}\n\n{"text": "fourth"}\n')
    return root


def test_a_folder_of_mixed_files_becomes_documents_in_order(folder, tmp_path):
    facts = extract(config(folder), tmp_path / "out")
    found = list(read_documents(tmp_path / "out"))
    assert [(d.source, d.path, d.text) for d in found] == [
        ("texts", "a.txt", "first text\n"),
        ("texts", "c.jsonl:1", "third"),
        ("texts", "c.jsonl:3", "fourth"),
        ("texts", "sub/b.md", "# second text\n"),
    ]
    assert facts["documents_out"] == 4
    assert facts["bytes_out"] == sum(len(d.text) for d in found)
    assert facts["sources"] == {"texts": {"documents": 4, "bytes": facts["bytes_out"]}}


def test_ids_stay_when_other_files_come_and_go(folder, tmp_path):
    extract(config(folder), tmp_path / "one")
    (folder / "0.txt").write_text("a new one")
    (folder / "sub" / "b.md").unlink()
    extract(config(folder), tmp_path / "two")
    one = {d.path: d.id for d in read_documents(tmp_path / "one")}
    two = {d.path: d.id for d in read_documents(tmp_path / "two")}
    assert one["a.txt"] == two["a.txt"]
    assert one["c.jsonl:3"] == two["c.jsonl:3"]


def test_strays_are_listed_with_their_reason_and_never_fatal(folder, tmp_path):
    (folder / "picture.png").write_bytes(b"\x89PNG\0")
    (folder / "binary.txt").write_bytes(b"\0\1\2")
    (folder / "shift.txt").write_bytes("日本語テキスト".encode("shift_jis"))
    (folder / "broken.txt").symlink_to("nowhere")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "empty.txt").write_text("  \n\n")
    with open(folder / "c.jsonl", "ab") as file:
        file.write(b'{"text": 3}\n{"body": "x"}\n[1]\n{"text": "cut\n\xff\xff\n')
    os.mkfifo(folder / "pipe.txt")  # reading it would wait forever
    facts = extract(config(folder), tmp_path / "out")
    skipped = {entry["path"]: entry["reason"] for entry in facts["skipped"]}
    assert "include" in skipped["picture.png"]
    assert "NUL" in skipped["binary.txt"]
    assert "not UTF-8" in skipped["shift.txt"]
    assert "link" in skipped["broken.txt"]
    assert "seen already" in skipped["loop"]
    assert "regular" in skipped["pipe.txt"]
    assert "not a string" in skipped["c.jsonl:4"]
    assert "it has body" in skipped["c.jsonl:5"]
    assert "object" in skipped["c.jsonl:6"]
    assert "JSON" in skipped["c.jsonl:7"]
    assert "JSON" in skipped["c.jsonl:8"]
    assert facts["reasons"]["empty"]["documents"] == 1
    assert facts["documents_out"] == 4
    assert sum(facts["skipped_count"].values()) == len(facts["skipped"])


def test_long_lists_of_strays_are_capped_but_counted(folder, tmp_path):
    for number in range(300):
        (folder / f"{number}.bin").write_bytes(b"x")
    facts = extract(config(folder), tmp_path / "out")
    assert len(facts["skipped"]) == 200
    assert facts["skipped_count"] == {"no pattern of 'include' matches": 300}


def test_a_file_that_vanishes_is_skipped(folder, tmp_path, monkeypatch):
    def vanishing(source, skip):
        for found in find_files(source, skip):
            if found.path == "a.txt":
                found.file.unlink(missing_ok=True)
            yield found

    monkeypatch.setattr(module, "find_files", vanishing)
    facts = extract(config(folder), tmp_path / "out")
    assert facts["skipped"] == [
        {"path": "a.txt", "reason": "cannot be read (No such file or directory)"}
    ]


def test_one_huge_line_costs_no_memory_and_no_other_record(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MAX_LINE_BYTES", 1000)
    file = tmp_path / "x.jsonl"
    file.write_text(
        '{"text": "one"}\n{"text": "' + "y" * 5000 + '"}\n{"text": "two"}\n'
    )
    facts = extract(config(file), tmp_path / "out")
    assert list(read_texts(tmp_path / "out")) == ["one", "two"]
    assert facts["skipped"][0]["path"] == "x.jsonl:2"


def test_a_file_that_is_too_large_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MAX_FILE_BYTES", 1 << 20)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "large.txt").write_bytes(b"x" * ((1 << 20) + 1))
    (tmp_path / "in" / "small.txt").write_text("small")
    facts = extract(config(tmp_path / "in"), tmp_path / "out")
    assert "larger than 1 MiB" in facts["skipped"][0]["reason"]
    assert facts["documents_out"] == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p / "missing", "there is no file or folder"),
        (lambda p: p, "no file that matches"),
        (
            lambda p: (p / "a.txt").write_bytes(b"\0") and p,
            "gave no document; a.txt: binary",
        ),
        (lambda p: (p / "a.txt").write_text(" ") and p, "only empty files"),
        (
            lambda p: (p / "a.jsonl").write_text('{"content": "x"}') and p,
            "it has content",
        ),
    ],
)
def test_a_source_that_gives_nothing_is_the_users_mistake(tmp_path, make, said):
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match=said):
        extract(config(make(tmp_path / "in")), tmp_path / "out")


def test_two_sources_of_one_name_are_refused(folder):
    twice = DataConfig(sources=(FilesSource(path=str(folder)),) * 2)
    with pytest.raises(UserError, match="named 'texts'"):
        probe(twice)


def test_an_order_of_sources_names_only_those_there_are(folder):
    settings = DataConfig(
        sources=(FilesSource(path=str(folder)),),
        dedup=DedupConfig(keep="best-source", source_order=("texts", "boks")),
    )
    with pytest.raises(UserError, match=r"'boks'.*there are texts"):
        probe(settings)


def test_the_probe_changes_with_the_files_and_only_with_them(folder):
    before = probe(config(folder))
    assert probe(config(folder)) == before
    assert before["texts"]["files"] == 3
    (folder / "a.txt").write_text("another text\n")
    changed = probe(config(folder))
    assert changed != before
    (folder / "stray.bin").write_bytes(b"x")
    assert probe(config(folder)) == changed


def test_the_probe_names_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="there is no file or folder"):
        probe(config(tmp_path / "missing"))
    with pytest.raises(UserError, match="no file that matches"):
        probe(config(tmp_path))


def test_the_standard_library_is_found_without_its_tests():
    facts = probe(DataConfig(sources=(StdlibSource(),)))["python-stdlib"]
    assert facts["python"] == sys.version
    assert facts["files"] > 400
    more = probe(DataConfig(sources=(StdlibSource(include_tests=True),)))[
        "python-stdlib"
    ]
    assert more["bytes"] >= facts["bytes"]


def test_any_number_of_workers_gives_the_same(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MANY_BYTES", 0)
    monkeypatch.setattr(module, "UNIT_BYTES", 20)
    (folder / "binary.txt").write_bytes(b"\0\1\2")
    facts = {}
    for workers in (1, 2):
        many = DataConfig(sources=(FilesSource(path=str(folder)),), workers=workers)
        facts[workers] = extract(many, tmp_path / str(workers))
    assert facts[1] == facts[2]
    one, two = (list(read_documents(tmp_path / name)) for name in "12")
    assert one == two
