"""Filters, languages, lists and classifiers on real texts: what they keep and drop."""

import csv
import gzip
import io
import json
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from hornbook.data.classify.classifier import Classifier
from hornbook.data.classify.language import load_language_model
from hornbook.data.classify.training import train_classifier
from hornbook.data.config import DecontaminateConfig
from hornbook.data.decontaminate import decontaminate
from hornbook.data.documents import Document, document_id, write_documents
from hornbook.data.filter.config import (
    Boilerplate,
    FilterConfig,
)
from hornbook.data.filter.filters import filter_documents
from hornbook.data.filter.lists import read_phrases

DATA = Path(
    os.environ.get("HORNBOOK_TEST_DATA", Path(__file__).parents[3] / "shared/data")
)
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the real data is not at {DATA} (HORNBOOK_TEST_DATA)"
)
LOOSE = {
    "min_bytes": 0, "max_digit_share": 1, "max_symbol_share": 1, "max_word_length": 10**6,
    "max_duplicate_lines": 1, "drop_generated": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def pages():
    with open(DATA / "c4_sample" / "c4.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def books():
    path = sorted((DATA / "books_en").glob("*.zst"))[0]
    with open(path, "rb") as handle:
        stream = zstandard.ZstdDecompressor().stream_reader(handle)
        texts = [json.loads(x)["text"] for x in io.TextIOWrapper(stream, "utf-8")]
    return [t[i : i + 8000] for t in texts for i in range(3000, len(t) - 8000, 60_000)]


@pytest.fixture
def folder(pages, books, tmp_path):
    write_documents(
        (
            Document(document_id("web", r["url"]), "web", r["url"], r["text"])
            for r in pages
        ),
        tmp_path / "web",
    )
    write_documents(
        (
            Document(document_id("b", str(i)), "b", f"{i}.txt", t)
            for i, t in enumerate(books)
        ),
        tmp_path / "books",
    )
    return tmp_path


def share_kept(config, folder, name):
    out = Path(tempfile.mkdtemp(dir=folder))
    facts = filter_documents(config, folder / name, out)
    return facts["documents_out"] / facts["documents_in"], facts


def test_the_built_in_list_drops_no_ordinary_page_or_book(folder):
    config = FilterConfig(**LOOSE)
    assert share_kept(config, folder, "web")[0] > 0.995
    assert share_kept(config, folder, "books")[0] == 1


def test_english_pages_and_books_are_english(folder):
    config = FilterConfig(languages=("en",), **LOOSE)
    assert share_kept(config, folder, "web")[0] > 0.99
    assert share_kept(config, folder, "books")[0] == 1
    assert share_kept(FilterConfig(languages=("de",), **LOOSE), folder, "books")[0] == 0


def test_boilerplate_leaves_books_whole_and_pages_nearly(folder):
    config = FilterConfig(boilerplate=Boilerplate(), **LOOSE)
    _, facts = share_kept(config, folder, "books")
    assert facts["boilerplate_bytes"] < 0.001 * facts["bytes_in"]
    _, facts = share_kept(config, folder, "web")
    assert 0 < facts["boilerplate_bytes"] < 0.01 * facts["bytes_in"]


def test_bad_words_are_found_as_c4s_own_pattern_finds_them(pages, books):
    path = str(DATA / "ldnoobw" / "en")
    words = [w for w in Path(path).read_text().split("\n") if re.search(r"\w", w)]
    plain = [w for w in words if re.fullmatch(r"[\w ]+", w)]
    pattern = re.compile(
        r"(?:\W|^)({})(?:\W|$)".format("|".join(map(re.escape, plain)))
    )
    texts = [record["text"] for record in pages] + books
    ours = read_phrases((path,))[0].count(pa.array(texts, pa.large_string()))[0] > 0
    theirs = np.array([bool(pattern.search(text.lower())) for text in texts])
    assert theirs.sum() > 5
    assert (theirs & ~ours).sum() == 0  # ours also finds entries such as "s&m"
    assert (ours & ~theirs).mean() < 0.005


def test_held_out_sentences_of_every_language_are_known():
    path = DATA / "flores_langid" / "flores_dev400.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [r for r in map(json.loads, lines) if r["n"] % 5 == 0]
    codes, _ = load_language_model().identify(
        pa.array([row["text"] for row in rows], pa.large_string())
    )
    by_language = {}
    for row, code in zip(rows, codes, strict=True):
        by_language.setdefault(row["lang"], []).append(code)
    right = [
        max(map(codes.count, set(codes))) / len(codes) for codes in by_language.values()
    ]
    assert min(right) > 0.9
    assert np.mean(right) > 0.99
    names = {max(set(c), key=c.count) for c in by_language.values()}
    assert len(names) == 40  # both kinds of Chinese are one


@pytest.fixture(scope="module")
def messages():
    """``(label, text)`` of short messages, spam and ham."""
    with open(DATA / "sms_spam" / "sms_0-3999.tsv", encoding="utf-8") as handle:
        return [row for row in csv.reader(handle, "excel-tab") if len(row) == 2]


def test_a_spam_classifier_from_messages(tmp_path, messages):
    with open(tmp_path / "sms.jsonl", "w") as out:
        for label, text in messages:
            out.write(json.dumps({"text": text, "label": label}) + "\n")
    card = train_classifier(tmp_path / "sms.jsonl", tmp_path / "spam", positive="spam")
    assert card["measured"]["auc_interval_95"][0] > 0.96
    assert card["measured"]["calibration_error"] < 0.03


def test_a_quality_classifier_tells_books_from_messages(tmp_path, books, messages):
    short = [text for _, text in messages]
    with open(tmp_path / "quality.jsonl", "w") as out:
        for label, texts in ((1, [b[:300] for b in books]), (0, short[:600])):
            for text in texts:
                out.write(json.dumps({"text": text, "label": label}) + "\n")
    card = train_classifier(tmp_path / "quality.jsonl", tmp_path / "quality")
    assert card["measured"]["auc"] > 0.98
    model = Classifier.load(str(tmp_path / "quality"))
    fresh = pa.array([b[4000:4300] for b in books] + short[600:1000], pa.large_string())
    scores = model.score(fresh)
    assert scores[: len(books)].mean() > 0.8
    assert scores[len(books) :].mean() < 0.2


def test_the_toxicity_card_reports_neutral_sentences_about_people():
    found = Classifier.load("toxicity").card["measured"]
    assert found["auc_davidson"] >= 0.9
    assert found["auc_surge"] >= 0.9
    assert found["identity_false_positives"] <= 0.02


def test_planted_benchmark_items_are_found_among_real_pages(folder, pages, tmp_path):
    with open(DATA / "gsm8k" / "train.jsonl", encoding="utf-8") as lines:
        items = [json.loads(line)["question"] for line in lines][:60]
    planted = [
        Document(document_id("web", f"leak{i}"), "web", f"leak{i}",
                 f"{pages[i]['text'][:800]}\n{item}\n{pages[i]['text'][800:]}")
        for i, item in enumerate(items)
    ]  # fmt: skip
    clean = [
        Document(document_id("web", r["url"]), "web", r["url"], r["text"])
        for r in pages[60:]
    ]
    write_documents([*planted, *clean], tmp_path / "mixed")
    config = DecontaminateConfig(
        benchmarks=("gsm8k", "mmlu"), benchmarks_folder=str(DATA)
    )
    facts = decontaminate(config, tmp_path / "mixed", tmp_path / "clean")
    examples = facts["reasons"]["holds benchmark text"]["documents"]
    assert 60 <= examples <= 62  # all that were planted, next to nothing else
