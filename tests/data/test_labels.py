"""Texts are labelled by source and language, whatever kind of file they lie in."""

import gzip
import json

import pytest

from hornbook.core.errors import UserError
from hornbook.data.documents import Document, write_documents
from hornbook.data.labels import PART, labelled, texts_of

ENGLISH = "The quick brown fox jumps over the lazy dog, and nobody minds it at all. "
RUSSIAN = "Съешь же ещё этих мягких французских булок да выпей чаю, мой друг. "


def test_every_text_has_its_source_and_its_language():
    found = list(labelled([("a", ENGLISH), ("b", RUSSIAN), ("b", "123 ...")]))
    assert [labels for labels, _ in found] == [
        ("source a", "language en"),
        ("source b", "language ru"),
        ("source b", "language unknown"),
    ]
    assert [text for _, text in found] == [ENGLISH, RUSSIAN, "123 ..."]


def test_lone_surrogates_stop_nothing():
    assert next(labelled([("a", "a\ud800b")]))[1] == "a\ud800b"


def test_files_of_every_kind_give_their_texts(tmp_path):
    plain = tmp_path / "long.txt"
    text = (ENGLISH + "\n") * 400
    plain.write_text(text)
    lines = tmp_path / "some.jsonl.gz"
    lines.write_bytes(gzip.compress(json.dumps({"text": RUSSIAN}).encode() + b"\n"))
    documents = tmp_path / "documents"
    documents.mkdir()
    write_documents([Document("1", "books", "p", ENGLISH)], documents)
    parquet = next(documents.glob("*.parquet"))
    found = list(texts_of([plain, lines, parquet]))
    assert "".join(part for source, part in found if source == "long.txt") == text
    assert len(found[0][1]) < PART + len(ENGLISH) + 2
    assert found[-2:] == [("some.jsonl.gz", RUSSIAN), ("books", ENGLISH)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.txt", b""),
        ("other.jsonl", b'{"body": "x"}\n'),
        ("broken.jsonl.gz", b"\x1f\x8b\x08\x00garbage"),
        ("broken.parquet", b"PAR1 no"),
    ],
)
def test_files_without_text_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        list(texts_of([tmp_path / name]))
