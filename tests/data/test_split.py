"""The split: nothing lost, nothing on both sides, and a document's side is its own."""

import pytest

from hornbook.core.errors import UserError
from hornbook.data.config import SplitConfig
from hornbook.data.documents import read_documents, read_texts
from hornbook.data.split import split


def test_documents_go_whole_to_one_side(corpus, tmp_path):
    documents = corpus([f"text {i}" for i in range(1000)])
    facts = split(SplitConfig(holdout=0.1), documents, tmp_path / "out")
    train = {d.path for d in read_documents(tmp_path / "out" / "train")}
    validation = {d.path for d in read_documents(tmp_path / "out" / "validation")}
    assert not train & validation
    assert len(train | validation) == 1000
    assert 70 <= len(validation) <= 130
    assert facts["train"]["documents"] == len(train)
    assert facts["train"]["bytes"] + facts["validation"]["bytes"] == facts["bytes_in"]


def test_a_documents_side_does_not_depend_on_the_others(corpus, tmp_path):
    few, many = corpus(["x"] * 300, "few"), corpus(["x"] * 600, "many")
    split(SplitConfig(holdout=0.2), few, tmp_path / "a")
    split(SplitConfig(holdout=0.2), many, tmp_path / "b")
    small = {d.path for d in read_documents(tmp_path / "a" / "validation")}
    large = {d.path for d in read_documents(tmp_path / "b" / "validation")}
    assert small == {path for path in large if int(path) < 300}


def test_a_larger_share_holds_out_more_of_the_same(corpus, tmp_path):
    documents = corpus(["x"] * 500)
    sides = []
    for share in (0.1, 0.3):
        split(SplitConfig(holdout=share), documents, tmp_path / str(share))
        held_out = read_documents(tmp_path / str(share) / "validation")
        sides.append({d.path for d in held_out})
    assert sides[0] < sides[1]


def test_of_a_few_documents_at_least_one_is_held_out(corpus, tmp_path):
    split(SplitConfig(holdout=1e-9), corpus(["a", "b", "c"]), tmp_path / "out")
    assert len(list(read_texts(tmp_path / "out" / "train"))) == 2
    assert len(list(read_texts(tmp_path / "out" / "validation"))) == 1


def test_the_tail_of_every_document_is_cut_off_exactly(corpus, tmp_path):
    texts = ["0123456789" * 100, "ünïcödé " * 50]
    split(SplitConfig(by="tail", holdout=0.1), corpus(texts), tmp_path / "out")
    train = list(read_texts(tmp_path / "out" / "train"))
    validation = list(read_texts(tmp_path / "out" / "validation"))
    assert [a + b for a, b in zip(train, validation, strict=True)] == texts
    assert [len(t) for t in train] == [900, 360]


@pytest.mark.parametrize(
    ("config", "texts", "side"),
    [
        (SplitConfig(holdout=0.001), ["only one"], "validation"),
        (SplitConfig(holdout=0.999), ["only one"], "train"),
        (SplitConfig(by="tail", holdout=0.1), ["x"], "train"),
        (SplitConfig(), [], "train"),
    ],
)
def test_an_empty_side_is_refused(corpus, tmp_path, config, texts, side):
    with pytest.raises(UserError, match=f"The {side} set is empty"):
        split(config, corpus(texts), tmp_path / "out")
