"""Items that the training text holds are found, and told apart in the results."""

import json

import pytest
from bytes_tokenizer import BytesTokenizer
from shapes import random_model, tiny

from hornbook.benchmarks import run_benchmarks
from hornbook.data.decontaminate import shares_seen
from hornbook.data.documents import Document, write_documents
from hornbook.infer.engine import Engine
from hornbook.model.huggingface import save_model

TASK = """
kind = "choice"
question = "{{ question }}"
choices = "options"
gold = "right"
[files]
test = "test.jsonl"
"""


def words(n: int, count: int = 20) -> str:
    return " ".join(f"word{n}x{i}" for i in range(count))


@pytest.fixture
def training(tmp_path):
    """A document with the whole of item 3, one with thirteen words of item 5."""
    texts = [
        f"It begins. {words(3)} And goes on.",
        " ".join(words(5).split()[2:15]),
        " ".join(words(7).split()[:12]),
    ]
    write_documents(
        (Document(str(n), "s", str(n), text) for n, text in enumerate(texts)),
        tmp_path / "train",
    )
    return tmp_path / "train"


def test_a_share_is_that_of_an_items_runs(training):
    shares = shares_seen([words(n) for n in range(8)] + ["too short"], training, 13)
    assert shares.tolist() == [0, 0, 0, 1.0, 0, 1 / 8, 0, 0, 0]


def test_runs_that_two_items_share_count_for_both(training):
    twice = [words(3), words(3) + " " + words(4), words(4)]
    shares = shares_seen(twice, training, 13).tolist()
    assert shares[0] == 1.0
    assert 0 < shares[1] < 1
    assert shares[2] == 0


def test_clean_and_dirty_stand_beside_the_result(tmp_path, training):
    lines = [
        json.dumps({"question": words(n), "options": ["a", "b"], "right": 0})
        for n in range(10)
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    (tmp_path / "mine.toml").write_text(TASK)
    network = random_model(tiny("default", vocab_size=270, context_length=256))
    save_model(network, tmp_path / "model")
    engine = Engine(network, BytesTokenizer())
    place = (tmp_path / "model", (str(tmp_path / "mine.toml"),), tmp_path)
    results = run_benchmarks(engine, *place, tmp_path / "out", training=training)
    assert [r["n"] for r in results] == [10, 8, 2]
    assert "not in the training text" in results[1]["note"]
    whole, clean, dirty = (r["value"] * r["n"] for r in results)
    assert whole == pytest.approx(clean + dirty)
    (listed,) = (tmp_path / "out").rglob("*.overlap.json")
    # The choices are two words more of each item: ten runs.
    assert json.loads(listed.read_text()) == {"3": 0.8, "5": 0.1}
