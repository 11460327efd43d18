"""Files from the hub: what is asked for, and what is said where it cannot be had."""

import json
import sys
import types

import pytest

from hornbook.core.errors import UserError
from hornbook.evaluate.examples import read_examples
from hornbook.evaluate.hub import data_folder, patterns
from hornbook.evaluate.task import load_task

TASK = """
kind = "choice"
question = "{{ question }}"
choices = "options"
gold = "right"
[files]
test = "data/test-*.jsonl | test.jsonl"
shots = "data/{file}-train.jsonl"
"""


@pytest.fixture
def task(tmp_path):
    (tmp_path / "mine.toml").write_text(TASK)
    return load_task(str(tmp_path / "mine.toml"))


def hub(monkeypatch, download):
    library = types.SimpleNamespace(snapshot_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)


def test_only_the_files_that_tasks_name_are_fetched_and_read(
    task, tmp_path, monkeypatch
):
    asked = {}
    (tmp_path / "copy" / "data").mkdir(parents=True)
    line = json.dumps({"question": "2?", "options": ["a", "b"], "right": 1})
    (tmp_path / "copy" / "data" / "test-0.jsonl").write_text(line)

    def download(repo, **options):
        asked.update(repo=repo, **options)
        return str(tmp_path / "copy")

    hub(monkeypatch, download)
    folder = data_folder("hub:someone/set@v1", [task])
    wanted = ["data/test-*.jsonl", "test.jsonl", "data/*-train.jsonl"]
    assert (asked["repo"], asked["revision"]) == ("someone/set", "v1")
    assert (asked["repo_type"], asked["allow_patterns"]) == ("dataset", wanted)
    assert patterns(task) == wanted
    (example,) = read_examples(task, folder, 0)
    assert example.continuations == (" a", " b")


def test_what_cannot_be_had_is_one_sentence(task, tmp_path, monkeypatch):
    def offline(repo, **_):
        raise ConnectionError("no route\nlong tale")

    hub(monkeypatch, offline)
    with pytest.raises(UserError, match=r"^hub:a/b cannot be had: no route$"):
        data_folder("hub:a/b", [task])
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"hornbook\[hub\]"):
        data_folder("hub:a/b", [task])
    with pytest.raises(UserError, match="no folder"):
        data_folder(str(tmp_path / "absent"), [task])
    assert data_folder(str(tmp_path), [task]) == tmp_path
