"""Decontamination, classification, and the story of one document."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.core.errors import UserError
from hornbook.data.classify.classifier import Classifier, auc, train
from hornbook.data.classify.config import ClassifyConfig
from hornbook.data.classify.stage import classify
from hornbook.data.config import (
    DecontaminateConfig,
    SplitConfig,
)
from hornbook.data.decontaminate import decontaminate
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.stage import dedup
from hornbook.data.documents import (
    document_id,
    read_documents,
)
from hornbook.data.filter.config import FilterConfig
from hornbook.data.filter.filters import filter_documents
from hornbook.data.split import split
from hornbook.data.why import why

QUESTION = (
    "Which of the following planets of our solar system has the most moons today?"
)
FILLER = " ".join(f"filler{i}" for i in range(60))


@pytest.fixture
def benchmark_file(tmp_path):
    records = [
        {"question": QUESTION, "choices": ["Mars", "Saturn"]},
        {"question": "Why?"},
    ]
    path = tmp_path / "bench.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    return str(path)


def test_a_planted_leak_is_found_and_named(corpus, tmp_path, benchmark_file):
    texts = {
        "clean": FILLER,
        "leak": FILLER
        + "\n"
        + QUESTION.upper().replace(" ", ",  ")
        + "\n"
        + FILLER[:50],
        "near": FILLER
        + " "
        + " ".join(QUESTION.split()[:12]),  # twelve words are not 13
    }
    config = DecontaminateConfig(benchmarks=(benchmark_file,))
    facts = decontaminate(config, corpus(texts), tmp_path / "out")
    assert [d.path for d in read_documents(tmp_path / "out")] == ["clean", "near"]
    rows = pq.read_table(tmp_path / "out" / "contaminated.parquet").to_pylist()
    assert [(r["doc"], r["item"], r["ngrams"], r["longest"]) for r in rows] == [
        (document_id("s", "leak"), "bench.jsonl:1", 2, 14)
    ]
    assert (facts["items"], facts["items_too_short"], facts["items_hit"]) == (2, 1, 1)


def test_a_missing_or_empty_benchmark_is_refused(corpus, tmp_path):
    documents = corpus([FILLER])
    config = DecontaminateConfig(benchmarks=(str(tmp_path / "no.jsonl"),))
    with pytest.raises(UserError, match="cannot be read"):
        decontaminate(config, documents, tmp_path / "a")
    (tmp_path / "empty.txt").write_text("\n\n")
    config = DecontaminateConfig(benchmarks=(str(tmp_path / "empty.txt"),))
    with pytest.raises(UserError, match="holds no text"):
        decontaminate(config, documents, tmp_path / "b")


def labelled(count=400):
    random = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(300)])
    texts, labels = [], []
    for i in range(count):
        chosen = list(random.choice(words, 15))
        if i % 2:
            chosen[3] = "awful"
            chosen[7] = "thing"
        texts.append(" ".join(chosen))
        labels.append(i % 2)
    return texts, np.array(labels)


@pytest.fixture(scope="module")
def classifier():
    return train(*labelled())


def test_a_classifier_learns_what_tells_the_classes_apart(classifier):
    texts, labels = labelled(600)
    scores = classifier.score(pa.array(texts[400:], pa.large_string()))
    assert auc(scores, labels[400:]) > 0.98
    assert abs(scores.mean() - 0.5) < 0.1  # calibrated


def test_scores_do_not_depend_on_the_batch_and_survive_the_disk(classifier, tmp_path):
    texts, _ = labelled(20)
    scores = classifier.score(pa.array(texts, pa.large_string()))
    alone = [classifier.score(pa.array([t], pa.large_string()))[0] for t in texts]
    assert scores.tolist() == alone
    classifier.save(tmp_path / "mine")
    again = Classifier.load(str(tmp_path / "mine"))
    np.testing.assert_allclose(
        again.score(pa.array(texts, pa.large_string())), scores, atol=0.01
    )
    assert classifier.score(pa.array([""], pa.large_string())).shape == (1,)


def test_training_twice_gives_the_same(classifier):
    np.testing.assert_array_equal(train(*labelled()).weights, classifier.weights)


def test_labels_of_one_kind_are_refused():
    with pytest.raises(UserError, match="some of them 0 and some 1"):
        train(["x"] * 50, np.ones(50))


def test_a_missing_classifier_is_named(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        Classifier.load(str(tmp_path / "nothing"))


def test_auc_is_the_share_of_pairs_in_the_right_order():
    random = np.random.default_rng(1)
    scores, labels = random.integers(0, 9, 200) / 8, random.integers(0, 2, 200)
    pairs = [
        (a > b) + 0.5 * (a == b)
        for a in scores[labels == 1]
        for b in scores[labels == 0]
    ]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs))


def test_the_stage_drops_by_score(corpus, tmp_path, classifier):
    classifier.save(tmp_path / "mine")
    texts, labels = labelled(40)
    config = ClassifyConfig(model=str(tmp_path / "mine"))
    facts = classify(config, corpus(texts), tmp_path / "out")
    assert facts["documents_out"] == pytest.approx((labels == 0).sum(), abs=3)
    assert facts["reasons"]["mine score"]["documents"] > 15
    assert pq.read_table(tmp_path / "out" / "statistics.parquet").num_rows == 40


def test_a_document_tells_its_story(corpus, tmp_path):
    texts = {"long": FILLER + " more of it", "copy": FILLER, "short": "too short"}
    stages = {"extract": corpus(texts)}
    for name in ("filter", "dedup", "split"):
        stages[name] = tmp_path / name
    config = FilterConfig(min_bytes=20, max_digit_share=1)
    filter_documents(config, stages["extract"], stages["filter"])
    dedup(DedupConfig(), stages["filter"], stages["dedup"])
    split(SplitConfig(by="tail", holdout=0.1), stages["dedup"], stages["split"])

    short = why(stages, document_id("s", "short"))
    assert [step["present"] for step in short] == [True, False]
    assert short[1]["notes"]["reason"] == "too short"
    copy = why(stages, document_id("s", "copy")[:12])
    assert [step["present"] for step in copy] == [True, True, False]
    assert copy[2]["notes"]["kept"] == document_id("s", "long")
    long = why(stages, document_id("s", "long"))
    assert [step["present"] for step in long] == [True] * 4
    assert long[1]["notes"]["bytes"] == len(FILLER) + 11
    with pytest.raises(UserError, match="No document"):
        why(stages, "zzz")
    with pytest.raises(UserError, match="3 documents"):
        why(stages, "")
