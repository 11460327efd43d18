"""A classifier from labelled files: the card's numbers against other tools, and bad files."""

import csv
import gzip
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from hornbook.cli import commands
from hornbook.core.errors import UserError
from hornbook.data.classify.classifier import Classifier, auc
from hornbook.data.classify.config import ClassifyConfig
from hornbook.data.classify.stage import classify
from hornbook.data.classify.training import (
    auc_interval,
    calibration_error,
    held_out,
    read_labelled,
    train_classifier,
)
from hornbook.data.config import DataConfig

GOOD = ["theorem", "measure", "chapter", "explain", "because", "example", "history"]
POOR = ["discount", "click", "winner", "offer", "free", "urgent", "prize"]
COMMON = [f"w{i}" for i in range(200)]


def labelled(count=1500, noise=0.1):
    """Texts of common words and one or two that tell, some of them labelled wrongly."""
    random = np.random.default_rng(4)
    for i in range(count):
        good = i % 2
        words = [*random.choice(COMMON, 12), *random.choice(GOOD if good else POOR, 2)]
        label = good if random.random() > noise else 1 - good
        yield " ".join(random.permutation(words)), label


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("labelled") / "texts.jsonl"
    path.write_text(
        "".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in labelled())
    )
    return path


@pytest.fixture(scope="module")
def card(file):
    return train_classifier(file, file.parent / "model")


def test_the_card_says_what_it_was_made_from_and_how_good_it_is(file, card):
    stored = json.loads((file.parent / "model" / "card.json").read_text())["card"]
    assert stored == card
    assert card["texts"] == 1500
    assert card["held_out"] == sum(held_out(text) for text, _ in labelled())
    found = card["measured"]
    low, high = found["auc_interval_95"]
    assert 0.8 < low < found["auc"] < high < 1  # a tenth of the labels are wrong
    assert found["calibration_error"] < 0.15  # of 300 texts
    recalls = [row["recall"] for row in found["thresholds"]]
    assert recalls == sorted(recalls, reverse=True)
    size = sum(f.stat().st_size for f in (file.parent / "model").iterdir())
    assert size < 600_000


def test_nothing_held_out_was_trained_on(file, tmp_path):
    """Other labels of the held-out texts change the card, not the weights."""
    changed = tmp_path / "changed.jsonl"
    rows = [
        (t, 1 - y if held_out(t) and i % 3 else y)
        for i, (t, y) in enumerate(labelled())
    ]
    changed.write_text(
        "".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in rows)
    )
    train_classifier(changed, tmp_path / "model")
    ours = Classifier.load(str(tmp_path / "model"))
    theirs = Classifier.load(str(file.parent / "model"))
    np.testing.assert_array_equal(ours.weights, theirs.weights)
    assert (ours.bias, ours.scale) == (theirs.bias, theirs.scale)


def test_the_held_out_numbers_equal_scikit_learns(file, card):
    metrics = pytest.importorskip("sklearn.metrics")
    calibration = pytest.importorskip("sklearn.calibration")
    import pyarrow as pa

    texts, labels = read_labelled(file)
    held = np.array([held_out(text) for text in texts])
    column = pa.array(
        [t for t, h in zip(texts, held, strict=True) if h], pa.large_string()
    )
    scores = Classifier.load(str(file.parent / "model")).score(column)
    truth = labels[held]
    area = metrics.roc_auc_score(truth, scores)
    assert card["measured"]["auc"] == pytest.approx(area, abs=2e-3)  # float16 on disk
    at = next(r for r in card["measured"]["thresholds"] if r["score_above"] == 0.5)
    expected = metrics.precision_score(truth, scores > 0.5)
    assert at["precision"] == pytest.approx(expected, abs=0.01)
    real, said = calibration.calibration_curve(truth, scores, n_bins=10)
    sizes = np.bincount(np.minimum((scores * 10).astype(int), 9), minlength=10)
    sizes = sizes[sizes > 0] / len(scores)
    assert calibration_error(scores, truth) == pytest.approx(sizes @ abs(real - said))


def test_it_is_as_good_as_scikit_learn_on_the_same_words(file, card):
    text = pytest.importorskip("sklearn.feature_extraction.text")
    linear = pytest.importorskip("sklearn.linear_model")
    texts, labels = read_labelled(file)
    held = np.array([held_out(t) for t in texts])
    features = text.TfidfVectorizer(ngram_range=(1, 2)).fit_transform(texts)
    model = linear.LogisticRegression(C=10).fit(features[~held], labels[~held])
    theirs = auc(model.decision_function(features[held]), labels[held])
    assert card["measured"]["auc"] > theirs - 0.03


def test_the_interval_covers_the_true_area_about_as_often_as_it_says():
    random = np.random.default_rng(5)
    true = 0.7602  # of two normal distributions one standard deviation apart
    covered = 0
    for _ in range(300):
        scores = np.concatenate([random.normal(1, 1, 60), random.normal(0, 1, 90)])
        labels = np.repeat([1, 0], [60, 90])
        low, high = auc_interval(auc(scores, labels), 60, 90)
        covered += low <= true <= high
    assert 0.90 < covered / 300 < 0.99


def test_csv_and_compressed_files_and_labels_by_name(tmp_path):
    long = "word " * 50_000  # more than the csv module takes by default
    rows = [("one, two", "spam"), ("three\nfour", "ham"), (long, "ham")]
    with open(tmp_path / "a.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([("text", "label"), *rows])
    texts, labels = read_labelled(tmp_path / "a.csv", "spam")
    assert texts == ["one, two", "three\nfour", long]
    assert labels.tolist() == [1, 0, 0]
    lines = [{"text": "a", "label": True}, {"text": "b", "label": "0"}]
    data = "\n".join(map(json.dumps, lines)).encode()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(data))
    assert read_labelled(tmp_path / "b.jsonl.gz")[1].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": "a"\n',
            "line 2 is not valid JSON",
        ),
        ("a.jsonl", '{"text": "a"}\n', "record 1 has no 'text' and 'label'"),
        ("a.jsonl", '{"text": "a", "label": "spam"}\n', "--positive"),
        ("a.jsonl", "[1]\n", "line 1 is not a record"),
        ("a.csv", "words,label\na,1\n", "record 1 has no 'text'"),
        ("a.txt", "a", ".jsonl or .csv"),
        ("a.jsonl", '{"text": "a", "label": 1}\n', "too small"),
        ("a.jsonl.gz", "no gzip", "not valid JSON"),
    ],
)
def test_bad_files_end_in_one_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        train_classifier(tmp_path / name, tmp_path / "out")
    with pytest.raises(UserError, match="cannot be read"):
        train_classifier(tmp_path / "missing.jsonl", tmp_path / "out")


def test_the_commands_train_and_score(file, tmp_path):
    runner = CliRunner()
    out = tmp_path / "model"
    done = runner.invoke(
        commands, ["classifier", "train", str(file), "--out", str(out), "--epochs", "4"]
    )
    assert done.exit_code == 0, done.output
    assert "ROC-AUC 0." in done.output
    done = runner.invoke(
        commands, ["classifier", "score", str(out), str(file), "--json"]
    )
    scores = [json.loads(line)["score"] for line in done.output.splitlines()]
    assert len(scores) == 1500
    assert np.mean(scores[1::2]) > np.mean(scores[::2]) + 0.3


def test_several_classifiers_in_one_recipe(file, card, corpus, tmp_path):
    from hornbook.core.settings import parse

    model = str(file.parent / "model")
    table = {
        "sources": [{"kind": "python-stdlib"}],
        "classify": [
            {"model": "toxicity"},
            {"model": model, "max_score": 1, "min_score": 0.5},
        ],
    }
    config = parse(DataConfig, table, "recipe").classify
    assert isinstance(config, tuple)
    texts = [" ".join(GOOD), " ".join(POOR), "you stupid bitch, I hate you"]
    facts = classify(config, corpus(texts), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "statistics.parquet")
    assert rows.column_names == ["id", "toxicity", "model"]
    assert facts["documents_out"] == 1
    assert {r: n["documents"] for r, n in facts["reasons"].items()} == {
        "toxicity score": 1,
        "model score": 1,
    }
    with pytest.raises(UserError, match="have one name"):
        classify(
            (ClassifyConfig(), ClassifyConfig()),
            corpus(texts, name="b"),
            tmp_path / "b",
        )


def test_one_classifier_is_still_a_plain_table():
    from hornbook.core.settings import parse

    table = {"sources": [{"kind": "python-stdlib"}], "classify": {"max_score": 0.3}}
    assert parse(DataConfig, table, "recipe").classify == ClassifyConfig(max_score=0.3)
    with pytest.raises(UserError, match=r"unknown key .*max_scor"):
        parse(DataConfig, {**table, "classify": {"max_scor": 0.3}}, "recipe")
