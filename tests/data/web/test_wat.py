"""WAT records: titles and descriptions where they are asked for, a counted reason otherwise."""

import gzip
import io
import json

import pytest

from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.read.config import CrawlSource
from hornbook.data.read.extract import extract
from hornbook.data.web.warc import BadRecord, read_records
from hornbook.data.web.wat import title_and_description


def metadata(head: dict) -> bytes:
    response = {"HTML-Metadata": {"Head": head}}
    payload = {"HTTP-Response-Metadata": response}
    return json.dumps({"Envelope": {"Payload-Metadata": payload}}).encode()


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ({"Title": " The  lamp "}, "The lamp"),
        (
            {"Title": "A", "Metas": [{"name": "Description", "content": "What it is"}]},
            "A\nWhat it is",
        ),
        (
            {"Title": "A", "Metas": [{"property": "og:description", "content": "B"}]},
            "A\nB",
        ),
        (
            {
                "Title": "The lamp",
                "Metas": [{"name": "description", "content": "The lamp is lit"}],
            },
            "The lamp is lit",
        ),
        (
            {
                "Title": "T",
                "Metas": [{"name": "keywords", "content": "x"}, {"charset": "utf-8"}],
            },
            "T",
        ),
        ({"Metas": [{"name": "description", "content": "alone"}]}, "alone"),
    ],
)
def test_title_and_description_are_found(head, text):
    assert title_and_description(metadata(head)) == text


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"fetchTimeMs: 1",
        b"\xff",
        metadata({}),
        metadata({"Title": 3}),
    ],
)
def test_what_holds_none_says_so(payload):
    with pytest.raises(BadRecord, match="metadata record"):
        title_and_description(payload)


def record(payload: bytes, length: int | None = None) -> bytes:
    head = (
        "WARC/1.0\r\nWARC-Type: metadata\r\nWARC-Target-URI: http://a.example/\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length or len(payload)}\r\n\r\n"
    )
    return head.encode() + payload + b"\r\n\r\n"


def test_titles_become_documents_only_when_asked_for(tmp_path):
    raw = record(metadata({"Title": "The lamp"})) + record(b"{}")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.wat.gz").write_bytes(gzip.compress(raw))
    (folder / "b.wet").write_bytes(
        b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 4\r\n\r\ntext\r\n\r\n"
    )
    for asked, texts in ((False, ["text"]), (True, ["The lamp", "text"])):
        source = CrawlSource(path=str(folder), include=("*.w*",), wat_titles=asked)
        out = tmp_path / f"out-{asked}"
        facts = extract(DataConfig(sources=(source,)), out)
        assert [d.text for d in read_documents(out)] == texts
        assert sum(facts["skipped_count"].values()) == 3 - len(texts)
        assert all("metadata record" in why for why in facts["skipped_count"])


def test_a_wrong_length_in_an_archive_compressed_as_one_costs_one_record():
    payload = metadata({"Title": "The lamp"})
    raw = record(payload) + record(payload, len(payload) + 5) + record(payload) * 2
    skipped = []
    found = read_records(
        "x", io.BytesIO(gzip.compress(raw)), lambda *what: skipped.append(what)
    )
    assert [r.payload for r in found].count(payload) == 2
    assert len(skipped) == 1
