"""Shards give back exactly what went in, and say so when a file is damaged."""

import json
from itertools import chain

import numpy as np
import pytest

from hornbook.core.errors import UserError
from hornbook.data import growing as module
from hornbook.data.documents import read_documents
from hornbook.data.shards import Shards, write_shards

TEXTS = ["first document", "", "dritter: schön 日本", "x" * 1000]


def written(texts=TEXTS):
    return [[*t.encode(), 256] for t in texts]


@pytest.mark.parametrize("shard_tokens", [7, 256, 1 << 28])
def test_documents_come_back_whatever_the_files_are_cut(
    corpus, tmp_path, tokenizer, monkeypatch, shard_tokens
):
    monkeypatch.setattr(module, "SHARD_TOKENS", shard_tokens)
    documents = corpus(TEXTS)
    facts = write_shards(documents, tokenizer, tmp_path / "shards")
    shards = Shards.open(tmp_path / "shards")
    assert [shards.document(i).tolist() for i in range(len(TEXTS))] == written()
    everything = list(chain(*written()))
    assert shards.read(0, shards.tokens).tolist() == everything
    assert shards.read(10, 20).tolist() == everything[10:30]
    assert facts["tokens"] == shards.tokens == len(everything)
    assert facts["bytes"] == shards.bytes == sum(len(t.encode()) for t in TEXTS)
    assert shards.documents == 4
    shards.verify()
    ids = [d.id for d in read_documents(documents)]
    for document, start in enumerate(shards.offsets[:-1]):
        assert shards.document_id_at(int(start)) == ids[document]
    with pytest.raises(IndexError):
        shards.read(shards.tokens - 1, 2)


def test_the_files_are_plain_numpy(corpus, tmp_path, tokenizer):
    write_shards(corpus(TEXTS), tokenizer, tmp_path / "shards")
    array = np.load(tmp_path / "shards" / "tokens-00000.npy", allow_pickle=False)
    assert array.dtype == np.uint16
    assert array.tolist() == list(chain(*written()))


def test_a_large_vocabulary_takes_four_bytes(corpus, tmp_path, tokenizer):
    tokenizer.vocab_size = 65_537
    write_shards(corpus(TEXTS), tokenizer, tmp_path / "shards")
    assert Shards.open(tmp_path / "shards").arrays[0].dtype == np.uint32


def test_writing_twice_gives_the_same_bytes(corpus, tmp_path, tokenizer):
    documents = corpus(TEXTS)
    for name in ("a", "b"):
        write_shards(documents, tokenizer, tmp_path / name)
    for file in (tmp_path / "a").glob("*.*"):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def damage(directory, name, change):
    path = directory / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("tokens-00000.npy", lambda b: b[:-10], "cannot be read"),
        ("tokens-00000.npy", lambda b: b"nonsense", "cannot be read"),
        ("index.json", lambda b: b[:-10], "not valid JSON"),
        ("index.json", lambda b: b.replace(b"uint16", b"uint32"), "holds"),
        ("index.json", lambda b: b.replace(b"shards-2", b"shards-9"), "format"),
        ("offsets.npy", lambda b: b[:-8] + b"\0" * 8, "do not add up"),
    ],
)
def test_damage_is_found_on_opening(corpus, tmp_path, tokenizer, name, change, said):
    write_shards(corpus(TEXTS), tokenizer, tmp_path / "shards")
    damage(tmp_path / "shards", name, change)
    with pytest.raises(UserError, match=said):
        Shards.open(tmp_path / "shards")


def test_missing_files_are_named(corpus, tmp_path, tokenizer):
    write_shards(corpus(TEXTS), tokenizer, tmp_path / "shards")
    (tmp_path / "shards" / "tokens-00000.npy").unlink()
    with pytest.raises(UserError, match=r"tokens-00000\.npy"):
        Shards.open(tmp_path / "shards")
    with pytest.raises(UserError, match="does not exist"):
        Shards.open(tmp_path / "elsewhere")


def test_a_flipped_bit_is_found_by_verify(corpus, tmp_path, tokenizer):
    write_shards(corpus(TEXTS), tokenizer, tmp_path / "shards")
    damage(
        tmp_path / "shards", "tokens-00000.npy", lambda b: b[:-1] + bytes([b[-1] ^ 1])
    )
    shards = Shards.open(tmp_path / "shards")
    with pytest.raises(UserError, match=r"tokens-00000\.npy is damaged"):
        shards.verify()


def test_the_index_is_readable_json(corpus, tmp_path, tokenizer):
    write_shards(corpus(TEXTS), tokenizer, tmp_path / "shards")
    index = json.loads((tmp_path / "shards" / "index.json").read_text())
    assert index["vocab_size"] == 257
    assert index["end_of_text"] == 256


def test_other_documents_in_the_same_place_leave_nothing_of_the_first(
    corpus, tmp_path, tokenizer, monkeypatch
):
    monkeypatch.setattr(module, "SHARD_TOKENS", 100)
    write_shards(corpus(TEXTS), tokenizer, tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("tokens-*"))) > 5
    write_shards(corpus(["short"], name="other"), tokenizer, tmp_path / "shards")
    shards = Shards.open(tmp_path / "shards")
    assert shards.read(0, shards.tokens).tolist() == [*b"short", 256]
    assert len(list((tmp_path / "shards").glob("tokens-*"))) == 1
