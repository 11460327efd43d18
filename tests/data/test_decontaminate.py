"""Decontamination against plain sets of n-grams, with planted leaks, and its options."""

import gzip
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.benchmarks import read_benchmarks
from hornbook.data.config import DecontaminateConfig
from hornbook.data.decontaminate import Index, decontaminate
from hornbook.data.documents import read_documents


def ngrams(text, n):
    words = re.findall(r"\w+", text.lower())
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def longest_run(text, items, n):
    known = {gram for item in items for gram in ngrams(item, n)}
    best = run = 0
    for gram in ngrams(text, n):
        run = run + 1 if gram in known else 0
        best = max(best, run + n - 1 if run else 0)
    return best


texts = st.lists(st.sampled_from("abcd"), max_size=25).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=4))
def test_what_is_shared_equals_plain_sets(items, documents):
    found = Index(items, 3).search(pa.array(documents, pa.large_string()))
    owner = {}
    for number, item in enumerate(items):
        for gram in ngrams(item, 3):
            owner.setdefault(gram, number)
    for row, text in enumerate(documents):
        hits = {gram for gram in ngrams(text, 3) if gram in owner}
        counts = np.bincount([owner[gram] for gram in hits], minlength=len(items))
        assert found["ngrams"][row] == counts.max()
        assert found["longest"][row] == longest_run(text, items, 3)
        if hits:
            item = found["item"][row]
            assert counts[item] == counts.max()
            owned = sum(number == item for number in owner.values())
            assert found["share"][row] == pytest.approx(counts.max() / owned)


def sentence(random, words, length):
    return " ".join(random.choice(words, length))


def test_planted_leaks_are_all_found_and_nothing_else(corpus, tmp_path):
    """Whole, cut, re-cased and re-punctuated items among 400 clean documents."""
    random = np.random.default_rng(6)
    words = np.array([f"{a}{b}" for a in "bcdfglmnprst" for b in "aeiou"])
    items = [sentence(random, words, 30) for _ in range(50)]
    (tmp_path / "bench.txt").write_text("\n".join(items))
    documents = {f"clean{i}": sentence(random, words, 120) for i in range(400)}
    for i, item in enumerate(items):
        part = item.split()[i % 8 : i % 8 + 13 + i % 9]  # at least 13 words of it
        leak = [", ".join(part), " ".join(part).upper(), "\n".join(part)][i % 3]
        documents[f"leak{i}"] = (
            f"{sentence(random, words, 40)} X\n{leak}\nX {sentence(random, words, 40)}"
        )
        documents[f"near{i}"] = (
            f"{sentence(random, words, 40)} X {' '.join(item.split()[4:16])} X "
            f"{sentence(random, words, 40)}"
        )  # twelve words are not thirteen
    config = DecontaminateConfig(benchmarks=(str(tmp_path / "bench.txt"),))
    facts = decontaminate(config, corpus(documents), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "contaminated.parquet").to_pylist()
    assert {row["path"] for row in rows} == {f"leak{i}" for i in range(50)}
    for row in rows:
        i = int(row["path"].removeprefix("leak"))
        assert row["item"] == f"bench.txt:{i + 1}"
        assert row["item_text"] == items[i]
        assert row["longest"] == 13 + i % 9
        assert row["ngrams"] == 1 + i % 9
        assert row["share"] == pytest.approx((1 + i % 9) / 18)
    assert facts["documents_out"] == 450


QUESTION = (
    "Which of the planets of our solar system has the most moons "
    "according to what we know?"
)
LICENCE = (
    "Permission is hereby granted free of charge to any person "
    "obtaining a copy of this software"
)


def test_a_share_of_the_item_may_be_asked_for(corpus, tmp_path):
    (tmp_path / "b.txt").write_text(QUESTION)
    part = " ".join(QUESTION.split()[:13])
    documents = corpus(
        {"part": f"He asked: {part} he asked", "whole": f"So {QUESTION}"}
    )
    config = DecontaminateConfig(benchmarks=(str(tmp_path / "b.txt"),), min_share=0.5)
    decontaminate(config, documents, tmp_path / "out")
    assert [d.path for d in read_documents(tmp_path / "out")] == ["part"]


def test_a_run_that_many_documents_hold_does_not_count(corpus, tmp_path):
    (tmp_path / "b.txt").write_text(f"{LICENCE}\n{QUESTION}")
    documents = {f"{i}.c": f"{LICENCE} and so on, number {i}" for i in range(6)}
    documents |= {"leak": f"So {QUESTION}", "both": f"{LICENCE}\n{QUESTION}"}
    names = (str(tmp_path / "b.txt"),)
    out = tmp_path / "out"
    source = corpus(documents)
    decontaminate(DecontaminateConfig(benchmarks=names), source, out)
    assert list(read_documents(out)) == []
    config = DecontaminateConfig(benchmarks=names, max_documents=5)
    facts = decontaminate(config, source, tmp_path / "some")
    left = [d.path for d in read_documents(tmp_path / "some")]
    assert left == [f"{i}.c" for i in range(6)]
    assert facts["common_ngrams"] == len(LICENCE.split()) - 12


def test_benchmarks_by_name_in_a_folder_and_in_several_formats(tmp_path):
    folder = tmp_path / "data"
    (folder / "quiz" / "val").mkdir(parents=True)
    (folder / "quiz" / "val" / "a.csv").write_text(
        '"What, then?",one,two,A\nAnd?,x,y,B\n'
    )
    (folder / "quiz" / "b.jsonl").write_text(json.dumps({"q": "Why", "c": ["d", "e"]}))
    (folder / "quiz" / "README.md").write_text("not an item")
    (folder / "tasks.json").write_text(
        json.dumps({"examples": [{"input": "i", "target": "t"}]})
    )
    with gzip.open(folder / "lines.txt.gz", "wt") as handle:
        handle.write("first\n\nsecond\n")
    items = read_benchmarks(("quiz", "tasks.json", "lines.txt.gz"), str(folder))
    assert {item.name: item.text for item in items} == {
        "b.jsonl:1": "Why\nd\ne",
        "a.csv:1": "What, then?\none\ntwo\nA",
        "a.csv:2": "And?\nx\ny\nB",
        "tasks.json:1": "i\nt",
        "lines.txt.gz:1": "first",
        "lines.txt.gz:3": "second",
    }


def test_a_missing_an_empty_and_a_broken_benchmark_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_benchmarks(("no.jsonl",), str(tmp_path))
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(UserError, match="holds no text"):
        read_benchmarks((str(tmp_path / "empty.txt"),))
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{"a"\n')
    with pytest.raises(UserError, match="line 2 is not valid JSON"):
        read_benchmarks((str(tmp_path / "bad.jsonl"),))
