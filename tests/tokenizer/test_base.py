"""The face: streaming, offsets, special tokens, padding."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.tokenizer.base import SPECIAL_TOKENS, load_tokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer
from tests.tokenizer.samples import nasty_text, trained


@given(ids=st.lists(st.integers(0, 1023), max_size=40))
def test_streaming_gives_what_decoding_gives(ids):
    tokenizer = trained("gpt4")
    stream = tokenizer.stream_decoder()
    assert "".join(map(stream.push, ids)) + stream.flush() == tokenizer.decode(ids)


def test_streaming_never_gives_half_a_character():
    tokenizer = train_tokenizer(TokenizerConfig(kind="byte"), [])
    stream = tokenizer.stream_decoder()
    assert [stream.push(byte) for byte in "é😀".encode()] == ["", "é", "", "", "", "😀"]
    assert stream.push(0xF0) == ""
    assert stream.flush() == "\ufffd"
    assert stream.push(ord("a")) == "a"


@given(text=nasty_text)
def test_offsets_cover_the_text(text):
    tokenizer = trained("gpt4")
    ids, spans = tokenizer.encode_with_offsets(text)
    assert ids.tolist() == tokenizer.encode(text)
    assert spans.shape == (len(ids), 2)
    for token, (start, stop) in zip(ids.tolist(), spans.tolist(), strict=True):
        assert tokenizer.token_bytes(token) in text[start:stop].encode()
    if text:
        assert spans[0, 0] == 0
        assert spans[-1, 1] == len(text)
        assert (spans[1:, 0] <= spans[:-1, 1]).all()


@pytest.mark.parametrize("kind", ["bpe", "char", "word", "byte"])
def test_id_0_begins_and_ends_nothing(kind, tmp_path):
    """Evaluation harnesses take the id 0 of a mark for a missing one."""
    config = TokenizerConfig(kind=kind, vocab_size=264)
    tokenizer = train_tokenizer(config, ["abab ab"])
    assert 0 not in tokenizer.special.values()
    tokenizer.save(tmp_path)
    marks = json.loads((tmp_path / "tokenizer.json").read_text())["added_tokens"]
    assert 0 not in [mark["id"] for mark in marks]


def test_offsets_of_words_the_vocabulary_lacks():
    config = TokenizerConfig(kind="word", vocab_size=64)
    tokenizer = train_tokenizer(config, ["one two"])
    ids, spans = tokenizer.encode_with_offsets("one zwölf two")
    assert spans.tolist() == [[0, 3], [3, 9], [9, 13]]
    assert ids[1] == tokenizer.unknown


@pytest.mark.parametrize("kind", ["bpe", "char", "word", "byte"])
def test_every_kind_offers_the_same_face(kind, corpus, tmp_path):
    tokenizer = train_tokenizer(TokenizerConfig(kind=kind, vocab_size=640), corpus)
    assert tokenizer.vocab_size % 64 == 0
    assert list(tokenizer.special) == list(SPECIAL_TOKENS)
    for name, token in tokenizer.special.items():
        assert tokenizer.decode([token]) == name
        assert not set(tokenizer.special.values()) & set(tokenizer.encode(name))
    assert tokenizer.decode_bytes([tokenizer.vocab_size - 1]) in (b"", b"<|end|>")
    text = corpus[0][:2000]
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.encode(text) == tokenizer.encode(text)
    assert (again.kind, again.pattern) == (tokenizer.kind, tokenizer.pattern)
    assert (again.special, again.vocab_size) == (
        tokenizer.special,
        tokenizer.vocab_size,
    )
    assert again.tokens == tokenizer.tokens
    assert again.unknown == tokenizer.unknown
