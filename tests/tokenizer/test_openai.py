"""OpenAI's files: merges recovered from ranks give the ids tiktoken gives."""

import base64
import json

import pytest
import tiktoken
from hypothesis import given

from hornbook.core.errors import UserError
from hornbook.tokenizer.huggingface import to_characters
from hornbook.tokenizer.openai import from_ranks, read_gpt2, read_tiktoken
from hornbook.tokenizer.pretokenize import pattern_regex
from tests.tokenizer.samples import nasty_text, trained


def ranks() -> dict[bytes, int]:
    """Our merges with the bytes numbered backwards, so that ids are not byte values."""
    tokens = trained("gpt4").vocabulary.tokens
    return {token: 255 - i if i < 256 else i for i, token in enumerate(tokens)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("openai") / "small.tiktoken"
    lines = [
        b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in ranks().items()
    ]
    path.write_bytes(b"".join(lines))
    return path


ORACLE = tiktoken.Encoding(
    "small", pat_str=pattern_regex("gpt4"), mergeable_ranks=ranks(), special_tokens={}
)


@given(text=nasty_text)
def test_tiktoken_file_gives_its_ids(file, text):
    tokenizer = test_tiktoken_file_gives_its_ids.__dict__.setdefault(
        "tokenizer", read_tiktoken(file, "gpt4")
    )
    assert tokenizer.encode_reference(text) == ORACLE.encode_ordinary(text)
    assert tokenizer.encode_batch([text]).ids.tolist() == ORACLE.encode_ordinary(text)


def test_special_tokens_are_given_and_never_encoded(file):
    tokenizer = read_tiktoken(file, "gpt4", {"<|endoftext|>": 2000})
    assert tokenizer.special == {"<|endoftext|>": 2000}
    assert tokenizer.vocab_size == 2001
    assert 2000 not in tokenizer.encode("<|endoftext|>")


def test_recovered_merges_are_the_ones_learned():
    vocabulary = trained("gpt4").vocabulary
    again = from_ranks({token: i for i, token in enumerate(vocabulary.tokens)})
    assert list(again.pairs) == list(vocabulary.pairs)


def test_damaged_lines_are_named(file, tmp_path):
    path = tmp_path / "bad.tiktoken"
    good = file.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*good[:10], b"!!! x", *good[10:]]))
    with pytest.raises(UserError, match="line 11"):
        read_tiktoken(path, "gpt4")
    path.write_bytes(b"\n".join(good[5:]))
    with pytest.raises(UserError, match="has no rank"):
        read_tiktoken(path, "gpt4")
    path.write_bytes(b"\n".join([*good[:256], base64.b64encode(b"zqxj") + b" 256"]))
    with pytest.raises(UserError, match="not made of two"):
        read_tiktoken(path, "gpt4")
    for rank, words in ((b"5", "one id to two"), (b"99999999999999", "ids must be")):
        path.write_bytes(file.read_bytes() + base64.b64encode(b"zqxj") + b" " + rank)
        with pytest.raises(UserError, match=words):
            read_tiktoken(path, "gpt4")
    with pytest.raises(UserError, match="does not exist"):
        read_tiktoken(tmp_path / "none", "gpt4")


def test_gpt2_pair_of_files(tmp_path, corpus):
    tokenizer = trained("gpt2")
    names = [to_characters(token) for token in tokenizer.vocabulary.tokens]
    table = {name: i for i, name in enumerate(names)} | {"<|endoftext|>": len(names)}
    lines = [f"{names[a]} {names[b]}" for a, b in tokenizer.vocabulary.pairs]
    merges, encoder = tmp_path / "vocab.bpe", tmp_path / "encoder.json"
    merges.write_text("\n".join(["#version: 0.2", *lines, ""]))
    encoder.write_text(json.dumps(table))
    again = read_gpt2(merges, encoder)
    assert all(again.encode(text) == tokenizer.encode(text) for text in corpus)
    assert again.vocab_size == len(table)
    for damaged in ("[]", '{"!": 0}', json.dumps(table | {"zz": 1 << 60})):
        (tmp_path / "other.json").write_text(damaged)
        with pytest.raises(UserError, match=r"other\.json"):
            read_gpt2(merges, tmp_path / "other.json")
    merges.write_text("\n".join(["#version: 0.2", *lines[:-1], ""]))
    with pytest.raises(UserError, match="belongs together"):
        read_gpt2(merges, encoder)
