"""Real archives, sound and broken: every one is read to its end, and nothing is fatal."""

import os
from pathlib import Path

import pytest

from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.filter.config import FilterConfig
from hornbook.data.read import extract as module
from hornbook.data.read.config import CrawlSource
from hornbook.data.read.extract import extract
from hornbook.data.web.crawl import read_crawl
from hornbook.data.web.warc import read_records

HERE = Path(
    os.environ.get("HORNBOOK_TEST_DATA", Path(__file__).parents[3] / "shared/data")
)
FOLDER = HERE / "crawl"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"the real data is not at {HERE} (HORNBOOK_TEST_DATA)"
)


def read(name):
    name, skipped = str(name), []
    with open(FOLDER / name, "rb") as handle:
        found = list(
            read_records(name, handle, lambda p, why: skipped.append((p, why)))
        )
    return found, skipped


@pytest.mark.parametrize(
    "file",
    sorted(FOLDER.rglob("*.*")) if FOLDER.is_dir() else [],
    ids=lambda path: path.name,
)
def test_every_archive_is_read_to_its_end(file):
    skipped = []
    with open(file, "rb") as handle:
        pages = list(
            read_crawl(
                file.name,
                handle,
                True,
                lambda *what: skipped.append(what),
                lambda *_: None,
            )
        )
    assert pages or skipped or read(file.relative_to(FOLDER))[0]
    assert all(isinstance(text, str) for _, text, _ in pages)


@pytest.mark.parametrize(
    ("name", "records", "broken"),
    [
        ("warcio/example.warc", 6, 0),
        ("warcio/example.warc.gz", 6, 0),
        ("warcio/example.arc", 2, 0),
        ("warcio/example.arc.gz", 2, 0),
        ("whirlwind-python/whirlwind.warc", 4, 0),
        ("whirlwind-python/whirlwind.warc.gz", 4, 0),
        ("whirlwind-python/whirlwind.warc.wet.gz", 2, 0),
    ],
)
def test_sound_archives_give_all_their_records(name, records, broken):
    found, skipped = read(name)
    assert (len(found), len(skipped)) == (records, broken)


def test_an_archive_compressed_as_a_whole_is_read_too():
    found, skipped = read("warcio/example-bad.warc.gz.bad")
    assert found
    assert not skipped


def test_compressions_hold_the_same_records():
    pytest.importorskip("lz4")
    gz, _ = read("chatnoir-resiliparse/warcfile.warc.gz")
    lz4, _ = read("chatnoir-resiliparse/warcfile.warc.lz4")
    assert [r.payload for r in gz] == [r.payload for r in lz4]
    assert len(gz) > 10


@pytest.mark.parametrize(
    "name",
    [
        "chatnoir-resiliparse/clipped.warc.gz",
        "warcio/example-trunc.warc",
        "warcio/bad.arc",
    ],
)
def test_broken_archives_say_where_they_are_broken(name):
    _, skipped = read(name)
    assert skipped
    assert all("@" in place for place, _ in skipped)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_of_archives_becomes_documents(tmp_path, workers, monkeypatch):
    pytest.importorskip("resiliparse")
    pytest.importorskip("trafilatura")
    monkeypatch.setattr(module, "UNIT_BYTES", 1 << 20)  # more than one unit
    source = CrawlSource(path=str(FOLDER), name="crawl")
    filters = FilterConfig(preset="gopher")
    config = DataConfig(sources=(source,), filters=filters, workers=workers)
    facts = extract(config, tmp_path / "out")
    assert facts["documents_out"] > 50
    assert facts["skipped_count"]["broken record"] >= 4
    texts = [d.text for d in read_documents(tmp_path / "out")]
    assert not any("<html" in text.lower()[:500] for text in texts)
    FOUND[workers] = (facts, texts)
    if len(FOUND) == 2:
        assert FOUND[1] == FOUND[2]


FOUND: dict[int, object] = {}  # what each number of workers gave
