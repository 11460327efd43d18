"""Duplicates: every one that goes has a kept one like it, and no order changes which."""

import random

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data import documents as docs
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.stage import dedup
from hornbook.data.documents import document_id, read_documents

LONG = " ".join(f"word{i}" for i in range(200))
LONGER = LONG + " and a little more at the end"
OTHER = " ".join(f"other{i}" for i in range(200))


def run(config, documents, out):
    facts = dedup(config, documents, out)
    kept = sorted(d.path for d in read_documents(out))
    pairs = pq.read_table(out / "duplicates.parquet").to_pylist()
    return facts, kept, pairs


def test_the_longest_of_a_group_stays_and_the_pairs_say_so(corpus, tmp_path):
    texts = {
        "a": LONG,
        "b": LONGER,
        "c": OTHER,
        "d": LONG,
        "e": "tiny",
        "f": "tiny one",
    }
    facts, kept, pairs = run(DedupConfig(), corpus(texts), tmp_path / "out")
    assert kept == ["b", "c", "e", "f"]
    found = {pair["doc"]: pair for pair in pairs}
    assert set(found) == {document_id("s", "a"), document_id("s", "d")}
    for pair in pairs:
        assert pair["kept"] == document_id("s", "b")
        assert pair["jaccard"] == pytest.approx(196 / 203)
        assert pair["cluster_size"] == 3
    assert sorted(pair["exact"] for pair in pairs) == [False, True]
    reasons = facts["reasons"]
    assert reasons["exact duplicate"] == {"documents": 1, "bytes": len(LONG)}
    assert reasons["near duplicate"] == {"documents": 1, "bytes": len(LONG)}
    assert "Jaccard 0.97" in facts["examples"]["near duplicate"][0]["note"]


def test_short_documents_are_only_duplicates_when_exactly_equal(corpus, tmp_path):
    texts = ["yes", "no", "yes", "Yes.", "one two three four", "one two three five", ""]
    _, kept, pairs = run(DedupConfig(), corpus(texts), tmp_path / "out")
    assert len(kept) == 6
    assert [pair["exact"] for pair in pairs] == [True]


def test_candidates_below_the_threshold_stay(corpus, tmp_path):
    half = " ".join(f"word{i}" if i < 160 else f"else{i}" for i in range(200))
    config = DedupConfig(
        bands=100, rows=1
    )  # everything with anything in common is compared
    _, kept, _ = run(config, corpus({"a": LONG, "b": half}), tmp_path / "strict")
    assert kept == ["a", "b"]  # 156 of 236 shingles are common: 0.66
    loose = DedupConfig(bands=100, rows=1, threshold=0.6)
    _, kept, pairs = run(loose, corpus({"a": LONG, "b": half}), tmp_path / "loose")
    assert len(kept) == 1
    assert pairs[0]["jaccard"] == pytest.approx(156 / 236)


def test_a_chain_does_not_drag_away_what_is_unlike_the_kept_one(corpus, tmp_path):
    """a ~ b ~ c but a and c differ: b goes, and c stays unless it is like a."""
    names = [f"word{i}" for i in range(300)]
    a, b, c = names[0:201], names[20:220], names[40:239]
    texts = {n: " ".join(t) for n, t in zip("abc", (a, b, c), strict=True)}
    config = DedupConfig(bands=200, rows=1, threshold=0.75)
    _, kept, pairs = run(config, corpus(texts), tmp_path / "out")
    assert kept == ["a", "c"]
    assert all(pair["jaccard"] >= 0.75 for pair in pairs)


def test_disabled_dedup_keeps_everything(corpus, tmp_path):
    documents = corpus([LONG, LONG, LONGER])
    dedup(DedupConfig(enabled=False), documents, tmp_path / "out")
    assert len(list(read_documents(tmp_path / "out"))) == 3


def test_a_corpus_of_one_document_and_of_none(corpus, tmp_path):
    _, kept, _ = run(DedupConfig(), corpus([LONG], "one"), tmp_path / "out1")
    assert kept == ["0"]
    _, kept, _ = run(DedupConfig(), corpus([], "none"), tmp_path / "out0")
    assert kept == []


vocabulary = [f"w{i}" for i in range(12)]
texts_of_few_words = st.lists(
    st.lists(st.sampled_from(vocabulary), max_size=25).map(" ".join),
    min_size=1,
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(texts_of_few_words, st.integers(0, 10**6), st.sampled_from([40, 10**9]))
def test_the_result_depends_on_no_order_and_no_batch(
    tmp_path_factory, texts, seed, row_group
):
    config = DedupConfig(ngram=2, bands=20, rows=2, threshold=0.5)
    root = tmp_path_factory.mktemp("dedup")
    items = [
        docs.Document(document_id("s", str(i)), "s", str(i), t)
        for i, t in enumerate(texts)
    ]
    docs.write_documents(items, root / "in")
    random.Random(seed).shuffle(items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docs, "ROW_GROUP_BYTES", row_group)
        docs.write_documents(items, root / "shuffled")
    facts, kept, pairs = run(config, root / "in", root / "one")
    again, kept_again, pairs_again = run(config, root / "shuffled", root / "two")
    assert (kept, pairs) == (kept_again, pairs_again)
    assert facts["reasons"] == again["reasons"]
    assert len(kept) + len(pairs) == len(texts)
    kept_ids = {document_id("s", path) for path in kept}
    for pair in pairs:
        assert pair["kept"] in kept_ids
        assert pair["doc"] not in kept_ids
        assert pair["jaccard"] >= config.threshold
