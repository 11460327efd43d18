"""Encoding: kernels, readable path and tiktoken give the same ids; no byte is lost."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.tokenizer import encoder
from hornbook.tokenizer.base import SPECIAL_TOKENS
from hornbook.tokenizer.batch import encode_batch
from hornbook.tokenizer.bpe import (
    KERNEL_DECODES,
    REFERENCE_SERVES,
    BPETokenizer,
    Vocabulary,
)
from hornbook.tokenizer.encoder import Encoder, VocabularyArrays
from hornbook.tokenizer.pretokenize import PATTERNS, pattern_regex
from tests.tokenizer.samples import SENTENCES, nasty_text, trained

OWN = r"\p{L}+|[^\p{L}]"


@functools.cache
def oracle(pattern: str) -> tiktoken.Encoding:
    ranks = {token: i for i, token in enumerate(trained(pattern).vocabulary.tokens)}
    return tiktoken.Encoding(
        pattern,
        pat_str=pattern_regex(pattern),
        mergeable_ranks=ranks,
        special_tokens={},
    )


@functools.cache
def tiny_cache(pattern: str) -> Encoder:
    """An encoder whose cache must grow and be emptied all the time."""
    return Encoder(VocabularyArrays(trained(pattern).vocabulary), pattern, 11, 12)


@pytest.mark.parametrize("pattern", [*PATTERNS, OWN])
@given(text=nasty_text)
def test_all_ways_give_tiktokens_ids(pattern, text):
    expected = oracle(pattern).encode_ordinary(text)
    assert trained(pattern).encode_reference(text) == expected
    assert encode_batch([tiny_cache(pattern)], [text]).ids.tolist() == expected


@pytest.mark.parametrize("pattern", PATTERNS)
def test_real_text_gives_tiktokens_ids(pattern, corpus):
    tokenizer = trained(pattern)
    for text in corpus:
        ids = tokenizer.encode_array(text)
        assert ids.dtype == np.int32
        assert ids.tolist() == oracle(pattern).encode_ordinary(text)
        assert tokenizer.decode(ids) == text


@given(data=st.one_of(st.binary(max_size=80), nasty_text.map(str.encode)))
def test_every_byte_string_comes_back(data):
    tokenizer = trained("gpt4")
    ids = tokenizer.encode(data)
    assert tokenizer.decode_bytes(ids) == data
    assert tokenizer.encode_reference(data) == ids


@given(text=nasty_text)
def test_no_text_yields_a_special_id(text):
    tokenizer = trained("gpt4")
    special = set(tokenizer.special.values())
    for spelled in (text, *SPECIAL_TOKENS, *(text + name for name in SPECIAL_TOKENS)):
        assert not special & set(tokenizer.encode(spelled))
        assert max(tokenizer.encode(spelled), default=0) < min(special)


def test_a_piece_left_in_the_middle_is_gone_on_with():
    """A full cache stops the kernel between the parts of a piece that was cut."""
    rng = np.random.default_rng(1)
    han = "".join(map(chr, rng.integers(0x4E00, 0x9000, 9000)))
    text = f"before {han} after {han[::-1]}, 12345\n  {han[:50]}"
    small = tiny_cache("gpt4").fork()
    for _ in range(2):
        ids = encode_batch([small], [text]).ids
        assert ids.tolist() == oracle("gpt4").encode_ordinary(text)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [14, 254, 255, 256, 300, 1000])
def test_a_part_too_long_for_the_cache_may_stand_anywhere(pattern, size):
    """A piece is cut between signs that no token joins, and its first part is long."""
    signs = "=" * size + "€" * 3 + "=" * size + "€" * size
    text = f"words before {signs} and after{signs}.\n" * 3
    ids = encode_batch([tiny_cache(pattern)], [text]).ids
    assert ids.tolist() == oracle(pattern).encode_ordinary(text)


def test_an_interrupted_call_leaves_nothing_behind(monkeypatch):
    tokenizer = BPETokenizer(trained("gpt4").vocabulary, "gpt4")
    tokenizer.encode_batch(["ready"])

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "_help", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tokenizer.encode_array("some words " + "=" * 5000)
    for text in ("short", "a longer text " * 300):
        assert tokenizer.encode(text) == oracle("gpt4").encode_ordinary(text)


def test_lone_surrogates_are_replaced_as_tiktoken_does():
    text = "a\ud800b\ud83d\ude00"
    tokenizer = trained("gpt4")
    assert tokenizer.decode(tokenizer.encode(text)) == "a\ufffdb😀"
    assert tokenizer.encode(text) == oracle("gpt4").encode_ordinary(text)


@pytest.mark.parametrize(
    "unit", ["a", "ab", "é", "中", " ", "\n", "1", "Ab1", "the", "="]
)
def test_endless_words_are_quick_and_exact(unit):
    tokenizer = trained("gpt4")
    text = unit * 3000
    assert tokenizer.encode(text) == oracle("gpt4").encode_ordinary(text)
    long = unit * (3_000_000 // len(unit))
    ids = tokenizer.encode_array(long)
    assert tokenizer.decode(ids) == long


@pytest.mark.parametrize("pattern", ["gpt4", "o200k", OWN])
def test_batches_and_threads_change_nothing(pattern, corpus):
    tokenizer = trained(pattern)
    times = 2 if pattern == OWN else 12
    texts = ["", *corpus, *SENTENCES, "\n".join(corpus) * times, ""]
    one = tokenizer.encode_batch(texts, threads=1)
    two = tokenizer.encode_batch(texts, threads=3)
    assert np.array_equal(one.ids, two.ids)
    assert np.array_equal(one.offsets, two.offsets)
    for text, ids in zip(texts, one.split(), strict=True):
        assert ids.tolist() == tokenizer.encode(text)
    assert [a.tolist() for a in tokenizer.encode_many(texts[:5])] == [
        tokenizer.encode(text) for text in texts[:5]
    ]


def test_invalid_bytes_in_a_batch_come_back_too():
    texts = [b"good", b"ba\xffd \xe3\x81", b""]
    batch = trained("gpt4").encode_batch(texts)
    assert [trained("gpt4").decode_bytes(ids) for ids in batch.split()] == texts


def test_an_empty_batch_is_empty():
    batch = trained("gpt4").encode_batch([])
    assert batch.split() == []
    assert batch.ids.dtype == np.int32
    assert trained("gpt4").encode("") == []


def test_small_texts_wait_for_no_kernel():
    tokenizer = BPETokenizer(trained("gpt4").vocabulary, "gpt4")
    expected = trained("gpt4").encode("A first short text")
    assert tokenizer.encode("A first short text") == expected
    assert tokenizer._arrays is None
    for _ in range(2000):
        assert tokenizer.encode("A first short text") == expected
    assert tokenizer._compiling is not None
    tokenizer._compiling.join()
    assert tokenizer._ready
    assert tokenizer.encode("A first short text") == expected


def test_small_texts_are_encoded_while_the_kernels_compile(monkeypatch):
    tokenizer = BPETokenizer(trained("gpt4").vocabulary, "gpt4")
    compiled = threading.Event()
    compile_slowly = tokenizer._encode

    def waiting(texts, threads=1):
        compiled.wait(60)
        return compile_slowly(texts, threads)

    monkeypatch.setattr(tokenizer, "_encode", waiting)
    text = "Meanwhile, " * 50
    expected = oracle("gpt4").encode_ordinary(text)
    for _ in range(REFERENCE_SERVES // len(text) + 5):
        assert tokenizer.encode(text) == expected
    assert tokenizer._compiling is not None
    assert tokenizer._compiling.is_alive()
    assert tokenizer.encode(text) == expected
    compiled.set()
    tokenizer._compiling.join()
    assert tokenizer._ready
    assert tokenizer.encode(text) == expected


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["=", "中文"])
def test_a_word_of_100_megabytes_comes_back(unit):
    size = 100_000_000 // len(unit.encode())
    ids = trained("gpt4").encode_array(unit * size)
    assert trained("gpt4").decode_bytes(ids) == unit.encode() * size


def test_many_callers_at_once_get_their_own_ids(corpus):
    tokenizer = trained("gpt4")
    texts = [text[i : i + 700] for text in corpus for i in range(0, len(text), 700)]
    expected = [tokenizer.encode(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tokenizer.encode, texts)) == expected


def test_caches_of_long_pieces_are_bounded(monkeypatch):
    monkeypatch.setattr(encoder, "MAX_ROOM", 1 << 20)
    small = Encoder(VocabularyArrays(trained("gpt4").vocabulary), "gpt4")
    rng = np.random.default_rng(1)
    for _ in range(20):
        letters = rng.integers(97, 123, (10_000, 25)).astype(np.uint8)
        text = b" ".join(row.tobytes() for row in letters)
        assert trained("gpt4").decode_bytes(encode_batch([small], [text]).ids) == text
    assert len(small.seen) <= 4 << 20
    assert len(small.spill) <= 4 << 20


def test_long_arrays_decode_as_short_ones_do(corpus):
    tokenizer = trained("gpt4")
    text = "\n".join([*corpus, *SENTENCES])
    ids = np.array([*tokenizer.encode(text), *range(tokenizer.vocab_size)], np.int32)
    assert len(ids) > KERNEL_DECODES
    parts = [tokenizer.decode_bytes(part) for part in np.array_split(ids, 50)]
    assert tokenizer.decode_bytes(ids) == b"".join(parts)
    for bad in (-1, tokenizer.vocab_size):
        for many in ([bad], np.append(ids, np.int32(bad))):
            with pytest.raises(IndexError, match="outside the vocabulary"):
                tokenizer.decode(many)


def test_bytes_and_nothing_else():
    tokenizer = BPETokenizer(Vocabulary.trained([]), "gpt4")
    assert tokenizer.encode("né") == list("né".encode())
    assert tokenizer.vocab_size == 320


def test_damaged_sizes_are_refused():
    with pytest.raises(UserError, match="more than the vocabulary"):
        BPETokenizer(Vocabulary.trained([]), "gpt4", vocab_size=100)
