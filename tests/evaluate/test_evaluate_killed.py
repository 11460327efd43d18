"""An evaluation killed on its way and started again ends as one that was never killed."""

import json
import os
import signal
import time

import pytest

from hornbook.evaluate.notes import read_notes
from hornbook.model.huggingface import save_model
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

ITEMS = 3000
TASK = """
kind = "choice"
question = "Q: {{ question }}"
choices = "options"
gold = "right"
[files]
test = "test.jsonl"
"""


@pytest.fixture
def folder(tmp_path, opinionated):
    records = [
        {"question": f"{n} and {n % 7}?", "options": ["yes", "no"], "right": n % 2}
        for n in range(ITEMS)
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "test.jsonl").write_text(lines)
    (tmp_path / "mine.toml").write_text(TASK)
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=280), [lines])
    tokenizer.save(tmp_path / "model")
    shape = {"n_layers": 2, "d_model": 32, "n_heads": 2, "n_kv_heads": 1}
    network = opinionated(tokenizer.vocab_size, **shape, context_length=64)
    save_model(network, tmp_path / "model")
    return tmp_path


@pytest.mark.slow
def test_killed_with_sigkill_it_goes_on_and_ends_the_same(folder, start):
    def evaluate(out):
        task = str(folder / "mine.toml")
        return start(
            *("evaluate", str(folder / "model"), "--tasks", task),
            *("--data", str(folder), "--out", str(folder / out)),
        )

    def noted(out):
        paths = list((folder / out).rglob("*-shot.jsonl"))
        return paths[0].read_bytes().count(b"\n") if paths else 0

    whole = evaluate("whole")
    _, error = whole.communicate(timeout=300)
    assert whole.returncode == 0, error
    process = evaluate("killed")
    while noted("killed") < 2 and process.poll() is None:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = noted("killed") - 1  # the first line says what it is of
    assert 0 < done < ITEMS
    again = evaluate("killed")
    _, error = again.communicate(timeout=300)
    assert again.returncode == 0, error
    found = []
    for out in ("whole", "killed"):
        (notes,) = (folder / out).rglob("*-shot.jsonl")
        found.append({n: r.scores for n, r in read_notes(notes)[1].items()})
        (results,) = (folder / out).rglob("results.json")
        found.append(json.loads(results.read_text()))
    assert len(found[0]) == ITEMS
    assert found[0] == found[2]
    assert found[1] == found[3]
