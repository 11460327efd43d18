"""A crawl on a server of this machine: its list, its files, records by place, a choice."""

import gzip

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.core.settings import parse
from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.read.config import (
    CommonCrawlSource,
    CrawlSource,
)
from hornbook.data.read.extract import extract
from hornbook.data.read.sources import probe
from hornbook.data.web import download
from hornbook.data.web.commoncrawl import Wanted, choose, listed_urls

CRAWL = "CC-MAIN-2024-10"


def wet_record(url: str, text: str) -> bytes:
    payload = text.encode()
    head = (
        f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {url}\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + payload + b"\r\n\r\n")


def archive(number: int) -> list[bytes]:
    return [
        wet_record(f"http://s{number}.example/{n}", f"Text {n} of archive {number}.")
        for n in range(3)
    ]


@pytest.fixture
def crawl(server):
    """Twelve WET files and their list; ``server.paths`` names them."""
    folder = f"crawl-data/{CRAWL}/segments/1.2/wet"
    server.paths = [f"{folder}/a-{n:05d}.warc.wet.gz" for n in range(12)]
    for number, path in enumerate(server.paths):
        server.files[f"/{path}"] = b"".join(archive(number))
    listing = "".join(f"{path}\n" for path in server.paths).encode()
    server.files[f"/crawl-data/{CRAWL}/wet.paths.gz"] = gzip.compress(listing)
    return server


@pytest.fixture
def source(crawl, tmp_path):
    def make(**settings):
        settings.setdefault("files", 2)
        if "urls" not in settings:
            settings.setdefault("crawl", CRAWL)
        return CommonCrawlSource(
            base_url=crawl.url + "/",
            cache=str(tmp_path / "cache"),
            requests_per_second=1e6,
            **settings,
        )

    return make


def read(source, out):
    facts = extract(DataConfig(sources=(source,), workers=1), out)
    return list(read_documents(out)), facts


def test_files_of_a_crawl_become_documents(crawl, source, tmp_path):
    found, facts = read(source(), tmp_path / "out")
    assert [d.text for d in found] == [
        f"Text {n} of archive {a}." for a in range(2) for n in range(3)
    ]
    host = crawl.url.removeprefix("http://").replace(":", "%3A")
    assert found[0].path == f"{host}/{crawl.paths[0]}@0"
    assert found[0].source == CRAWL
    rows = pq.read_table(tmp_path / "out/sources.parquet").to_pylist()
    assert rows[4] == dict.fromkeys(rows[4]) | {
        "id": found[4].id,
        "url": "http://s1.example/1",
    }
    assert facts["skipped"] == []
    assert [path for path, _ in crawl.requests] == [
        f"/crawl-data/{CRAWL}/wet.paths.gz",
        *(f"/{path}" for path in crawl.paths[:2]),
    ]
    assert set(crawl.asked("User-Agent")) == {source().user_agent}
    assert crawl.most_open == 1


def test_what_was_fetched_is_never_fetched_again(crawl, source, tmp_path):
    first, _ = read(source(), tmp_path / "one")
    crawl.requests.clear()
    again, _ = read(source(), tmp_path / "two")
    assert again == first
    assert crawl.requests == []
    more, _ = read(source(files=3), tmp_path / "three")
    assert more[:6] == first
    assert [path for path, _ in crawl.requests] == [f"/{crawl.paths[2]}"]


def test_a_crawl_read_over_http_is_the_crawl_read_from_disk(crawl, source, tmp_path):
    crawl.tricks = [{}, {"break_after": 100}, {}, {"break_after": 50}]
    found, _ = read(source(files=12), tmp_path / "out")
    local, _ = read(CrawlSource(path=str(tmp_path / "cache")), tmp_path / "local")
    assert [d.text for d in found] == [d.text for d in local]
    assert len(found) == 36


def test_a_file_that_cannot_be_had_is_counted_and_the_others_come(
    crawl, source, tmp_path
):
    del crawl.files[f"/{crawl.paths[1]}"]
    found, facts = read(source(files=3), tmp_path / "out")
    assert len(found) == 6
    assert facts["skipped_count"] == {"download failed": 1}
    assert "404" in facts["skipped"][0]["reason"]
    crawl.files[f"/{crawl.paths[1]}"] = b"".join(archive(1))
    assert len(read(source(files=3), tmp_path / "again")[0]) == 9


def test_urls_and_records_of_a_list(crawl, source, tmp_path):
    records = archive(5)
    place = f"{crawl.url}/{crawl.paths[5]} {len(records[0])} {len(records[1])}"
    listing = tmp_path / "some urls.txt"
    listing.write_text(
        f"# mine\n\n{crawl.url}/{crawl.paths[3]}\n  {place}\n{place}\n"
        f"{crawl.url}/{crawl.paths[5]} 5 40\n"
    )
    found, facts = read(source(urls=str(listing), files=0), tmp_path / "out")
    assert [d.text for d in found] == [
        *(f"Text {n} of archive 3." for n in range(3)),
        "Text 1 of archive 5.",
    ]
    assert found[0].source == "some urls"
    assert crawl.asked("Range")[1] == (
        f"bytes={len(records[0])}-{len(records[0]) + len(records[1]) - 1}"
    )
    assert sum(facts["skipped_count"].values()) == 1  # the last line cuts a record
    crawl.requests.clear()
    assert read(source(urls=str(listing), files=0), tmp_path / "two")[0] == found
    assert crawl.requests == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("file:///etc/passwd", "no http or https URL"),
        ("http://[x/a", "no http or https URL"),
        ("http://x/a 1", "expected"),
        ("http://x/a 1 b", "expected"),
        ("http://x/a 1 0", "length of 0"),
        ("http://x/a 1 99999999999", "length of"),
    ],
)
def test_a_wrong_line_is_named(source, tmp_path, line, why):
    listing = tmp_path / "urls.txt"
    listing.write_text(f"http://x/a\n{line}\n")
    with pytest.raises(UserError, match=rf"urls.txt:2: .*{why}"):
        probe(DataConfig(sources=(source(urls=str(listing)),)))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"crawl": "", "urls": ""}, "either 'crawl'"),
        ({"crawl": "../x"}, "no id like"),
        ({"crawl": CRAWL, "files": 0}, "how many 'files'"),
        ({"crawl": CRAWL, "base_url": "ftp://x"}, "'base_url' must begin"),
        ({"urls": "/no/such/file"}, "'urls' names no file"),
    ],
)
def test_wrong_settings_are_explained_before_anything_is_fetched(
    crawl, settings, why, tmp_path
):
    wrong = CommonCrawlSource(**{"files": 1, "base_url": crawl.url, **settings})
    with pytest.raises(UserError, match=why):
        probe(DataConfig(sources=(wrong,)))
    assert crawl.requests == []


def test_an_unknown_crawl_is_explained(source, tmp_path):
    with pytest.raises(UserError, match=r"CC-MAIN-1999-01.*404.*id right"):
        read(source(crawl="CC-MAIN-1999-01"), tmp_path / "out")


def test_a_damaged_list_is_explained(crawl, source, tmp_path):
    crawl.files[f"/crawl-data/{CRAWL}/wet.paths.gz"] = b"<html>"
    with pytest.raises(UserError, match="damaged"):
        read(source(), tmp_path / "out")


def test_a_server_that_stays_busy_costs_the_file_not_the_run(
    crawl, source, tmp_path, monkeypatch
):
    monkeypatch.setattr(download, "MAX_FAILURES", 2)
    monkeypatch.setattr(download, "MAX_BACKOFF", 0.01)
    crawl.tricks = [{}, {"status": 503}, {"status": 503}]
    found, facts = read(source(), tmp_path / "out")
    assert len(found) == 3
    assert "503, 2 times" in facts["skipped"][0]["reason"]


def test_planning_asks_for_nothing_and_follows_the_list(crawl, source, tmp_path):
    listing = tmp_path / "urls.txt"
    listing.write_text("http://x/a\n")
    config = DataConfig(sources=(source(urls=str(listing)), source()))
    before = probe(config)
    assert probe(config) == before
    listing.write_text("http://x/a\nhttp://x/b\n")
    assert probe(config) != before
    assert crawl.requests == []


def test_the_recipe_names_what_is_wrong():
    table = {"sources": [{"kind": "common-crawl", "crwal": "x"}]}
    with pytest.raises(UserError, match=r"'data.sources\[0\].crwal'.*'crawl'|crwal"):
        parse(DataConfig, table, "r.toml")


ALL = [Wanted(f"http://x/{n}") for n in range(50)]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5) | st.none())
def test_a_larger_choice_holds_the_smaller_one_in_the_same_order(few, more, seed):
    few, more = sorted((max(few, 1), max(more, 1)))
    small, large = choose(ALL, few, seed), choose(ALL, more, seed)
    assert len(small) == min(few, 50)
    assert [w for w in large if w in small] == small
    assert small == sorted(small, key=ALL.index)


def test_seeds_choose_differently_and_none_takes_the_first():
    assert choose(ALL, 5, None) == ALL[:5]
    assert choose(ALL, 5, 1) != choose(ALL, 5, 2)


@given(st.text(max_size=40), st.text(max_size=10))
def test_no_url_leads_out_of_the_cache(path, query):
    wanted = Wanted(f"http://host/../..//{path}?{query}", 1, 2)
    parts = wanted.path.split("/")
    assert not any(part in ("", ".", "..") for part in parts)


def test_the_same_list_twice_is_the_same(tmp_path):
    listing = tmp_path / "u.txt"
    listing.write_text("http://x/a\nhttp://x/a\n")
    assert listed_urls(CommonCrawlSource(urls=str(listing))) == [Wanted("http://x/a")]
