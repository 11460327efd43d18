"""Readers and repairs on real text: what they change, and above all what they leave alone."""

import io
import itertools
import json
import os
from pathlib import Path

import ftfy
import pytest
import zstandard

from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.read.clean import fix_mojibake
from hornbook.data.read.config import CrawlSource
from hornbook.data.read.extract import extract
from hornbook.data.read.gutenberg import cut_gutenberg
from hornbook.data.read.licence import UNKNOWN, licence_of_text
from hornbook.data.read.lines import join_lines
from hornbook.data.read.pii import mask

HERE = Path(
    os.environ.get("HORNBOOK_TEST_DATA", Path(__file__).parents[3] / "shared/data")
)
pytestmark = pytest.mark.skipif(
    not HERE.is_dir(), reason=f"the real data is not at {HERE} (HORNBOOK_TEST_DATA)"
)


@pytest.fixture(scope="module")
def books():
    with open(HERE / "books_en/books_en-00000.jsonl.zst", "rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        return [json.loads(line)["text"][:300_000] for line in io.TextIOWrapper(stream)]


def test_mojibake_is_mended_exactly_where_ftfy_mends_it():
    with open(HERE / "c4_sample/c4.jsonl") as file:
        texts = [json.loads(line)["text"] for line in file]
    texts += [p.read_text(errors="replace") for p in HERE.glob("sms_spam/*")]
    lines = [line for text in texts for line in text.split("\n") if not line.isascii()]
    mended = [ftfy.fix_encoding(line) for line in lines]
    assert sum(a != b for a, b in zip(lines, mended, strict=True)) > 10
    assert [fix_mojibake(line) for line in lines] == mended


def test_books_without_marks_stay_as_they_are(books):
    assert all(cut_gutenberg(book) is book for book in books)


def test_wrapped_books_lose_most_line_breaks_and_no_word(books):
    for book in books:
        joined = join_lines(book)
        assert joined.split() == book.split() or "-\n" in book or "—\n" in book
        assert joined.count("\n") < 0.75 * book.count("\n")


def test_verse_of_a_play_keeps_its_lines_and_its_prose_is_joined():
    text = next((HERE / "tinyshakespeare").glob("*")).read_text()
    joined = join_lines(text)
    assert 0.01 * text.count("\n") < text.count("\n") - joined.count("\n")
    assert joined.count("\n") > 0.95 * text.count("\n")
    assert "First Citizen:\nBefore we proceed any further, hear me speak." in joined


def test_old_books_hold_nothing_to_mask(books):
    assert [book for book in books if mask(book) != book] == []


def test_licences_of_known_origin():
    found = {
        p.name: licence_of_text(p.read_text()) for p in HERE.glob("LICENCES/*LICENSE*")
    }
    assert found["openai+human-eval.LICENSE.txt"] == "MIT"
    assert found["pytorch+examples.LICENSE.txt"] == "BSD-3-Clause"
    assert found["krishnaik06+Huggingfacetransformer.LICENSE.txt"] == "GPL-3.0"
    unknown = sum(licence == UNKNOWN for licence in found.values())
    assert unknown <= 1, found


def test_wat_files_give_titles_or_a_counted_reason(tmp_path):
    source = CrawlSource(
        path=str(HERE / "crawl"), include=("*.wat*",), wat_titles=True, name="wat"
    )
    facts = extract(DataConfig(sources=(source,), workers=1), tmp_path / "out")
    titles = [d.text for d in read_documents(tmp_path / "out")]
    assert any("Одессе" in title for title in titles)
    assert facts["skipped_count"]["a metadata record without title or description"] > 3


def test_every_page_of_an_archive_has_its_address(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("resiliparse")
    source = CrawlSource(path=str(HERE / "crawl/whirlwind-python"), html="fast")
    extract(DataConfig(sources=(source,), workers=1), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/sources.parquet").to_pylist()
    documents = list(read_documents(tmp_path / "out"))
    assert [row["id"] for row in rows] == [d.id for d in documents]
    urls = {row["url"] for row in itertools.islice(rows, 20)}
    assert urls == {"https://an.wikipedia.org/wiki/Escopete"}
