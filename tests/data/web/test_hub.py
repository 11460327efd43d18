"""Datasets from a hub on this machine, through the hub's own library."""

import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.core.errors import UserError
from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.read.config import HubSource
from hornbook.data.read.extract import extract
from hornbook.data.read.sources import probe
from hornbook.data.web.hub import choose_files

pytest.importorskip("huggingface_hub")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def parquet(*texts: str) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": list(texts)}), out)
    return out.getvalue()


@pytest.fixture
def hub(server, monkeypatch):
    """``hub(files, configs)`` makes a dataset of the server: what the real hub answers."""

    def make(files: dict[str, bytes], configs=None, repo="me/tales"):
        info = {
            "id": repo,
            "sha": COMMIT,
            "siblings": [{"rfilename": name} for name in files],
            "cardData": {"configs": configs} if configs else {},
            "private": False,
            "tags": [],
        }
        for revision in ("main", COMMIT):
            path = f"/api/datasets/{repo}/revision/{revision}"
            server.files[path] = json.dumps(info).encode()
        for name, raw in files.items():
            path = f"/datasets/{repo}/resolve/{COMMIT}/{name}"
            server.files[path] = raw
            server.tags[path] = f'"{hashlib.sha256(raw).hexdigest()}"'
        server.headers = {"X-Repo-Commit": COMMIT}

    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    make.server = server
    return make


def read(out, **settings):
    settings = {"repo": "me/tales", "cache": str(out.parent / "cache")} | settings
    facts = extract(DataConfig(sources=(HubSource(**settings),), workers=1), out)
    return [(d.path, d.text) for d in read_documents(out)], facts


FILES = {
    "README.md": b"# Tales\n",
    "data/train-00000-of-00002.parquet": parquet("one", "two"),
    "data/train-00001-of-00002.parquet": parquet("three"),
    "data/test-00000-of-00001.parquet": parquet("held out"),
    "extra/more.jsonl": b'{"text": "four"}\n{"story": "x"}\n',
    "picture.png": b"\x89PNG",
}


def test_the_training_split_is_found_by_the_names_of_files(hub, tmp_path):
    hub(FILES)
    found, _ = read(tmp_path / "out")
    assert found == [
        ("data/train-00000-of-00002.parquet:1", "one"),
        ("data/train-00000-of-00002.parquet:2", "two"),
        ("data/train-00001-of-00002.parquet:1", "three"),
    ]
    assert next(iter(read_documents(tmp_path / "out"))).source == "tales"


def test_what_was_fetched_is_not_fetched_again(hub, tmp_path):
    hub(FILES)
    first = read(tmp_path / "out")
    hub.server.requests.clear()
    assert read(tmp_path / "again") == first
    assert not [p for p, _ in hub.server.requests if "/resolve/" in p]


def test_patterns_choose_files(hub, tmp_path):
    hub(FILES)
    found, facts = read(tmp_path / "out", files=("*.jsonl",))
    assert found == [("extra/more.jsonl:1", "four")]
    assert facts["skipped_count"] == {"no key 'text'": 1}


def test_every_file_comes_from_the_commit_that_was_listed(hub, tmp_path):
    hub(FILES)
    read(tmp_path / "out")
    fetched = [path for path, _ in hub.server.requests if "/resolve/" in path]
    assert fetched
    assert all(f"/resolve/{COMMIT}/" in path for path in fetched)


def test_the_cards_configs_are_heeded(hub, tmp_path):
    configs = [
        {
            "config_name": "small",
            "default": True,
            "data_files": [{"split": "train", "path": ["extra/*.jsonl"]}],
        },
        {
            "config_name": "large",
            "data_files": [
                {"split": "train", "path": "data/train-*"},
                {"split": "test", "path": "data/test-*"},
            ],
        },
    ]
    hub(FILES, configs)
    assert [t for _, t in read(tmp_path / "a")[0]] == ["four"]
    large = read(tmp_path / "b", config="large")[0]
    assert [t for _, t in large] == ["one", "two", "three"]
    test = read(tmp_path / "c", config="large", split="test")[0]
    assert [t for _, t in test] == ["held out"]
    everything = read(tmp_path / "d", config="large", split="")[0]
    assert len(everything) == 4
    with pytest.raises(UserError, match=r"no config 'lagre'.*did you mean 'large'"):
        read(tmp_path / "e", config="lagre")
    with pytest.raises(UserError, match=r"no split 'dev'.*train, test"):
        read(tmp_path / "f", config="large", split="dev")


def test_a_file_that_fails_is_counted_and_the_others_come(hub, tmp_path):
    hub(FILES)
    del hub.server.files[
        f"/datasets/me/tales/resolve/{COMMIT}/data/train-00000-of-00002.parquet"
    ]
    found, facts = read(tmp_path / "out")
    assert [text for _, text in found] == ["three"]
    assert facts["skipped_count"] == {"download failed": 1}


def test_a_dataset_that_is_not_there_is_explained(hub, tmp_path):
    hub(FILES)
    with pytest.raises(UserError, match=r"'me/tails'.*cannot be had"):
        read(tmp_path / "out", repo="me/tails")
    with pytest.raises(UserError, match=r"revision 'v9'.*cannot be had"):
        read(tmp_path / "out", revision="v9")


def test_planning_asks_the_hub_for_nothing(hub):
    config = DataConfig(sources=(HubSource(repo="me/tales"),))
    assert probe(config) == {"tales": {"repo": "me/tales", "revision": "main"}}
    assert hub.server.requests == []


def test_without_the_library_the_extra_is_named(hub, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"hornbook\[hub\]"):
        read(tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "settings", "chosen"),
    [
        (["a.jsonl", "b.txt", "c.bin"], {}, ["a.jsonl", "b.txt"]),
        (["train.csv", "test.csv"], {}, ["train.csv"]),
        (["x/train/0.parquet", "x/dev/0.parquet"], {}, ["x/train/0.parquet"]),
        (["en/train.csv", "de/train.csv"], {"config": "de"}, ["de/train.csv"]),
        (["constrained.txt"], {}, ["constrained.txt"]),  # no word of its own
        (["a.jsonl.gz", "a.jsonl.xz"], {}, ["a.jsonl.gz"]),
        (["train.csv", "test.csv"], {"split": ""}, ["test.csv", "train.csv"]),
        (["a/b/c.txt", "a/d.txt"], {"files": ("a/*",)}, ["a/b/c.txt", "a/d.txt"]),
        (["a/b/c.txt", "a/d.txt"], {"files": ("**/c.txt",)}, ["a/b/c.txt"]),
        (["a/b/c.txt", "a/d.txt"], {"files": ("a/b",)}, ["a/b/c.txt"]),
    ],
)
def test_names_tell_split_and_config(names, settings, chosen):
    assert choose_files(names, [], HubSource(repo="x/y", **settings)) == chosen


def test_no_file_at_all_says_what_there_is():
    with pytest.raises(UserError, match=r"it has train.csv"):
        choose_files(["train.csv"], [], HubSource(repo="x/y", split="test"))
