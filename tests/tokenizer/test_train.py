"""Training: the kernels learn the merges the readable trainer learns, on any threads."""

import random
import re
from collections import Counter
from itertools import islice, product

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from hornbook.core import progress
from hornbook.core.errors import UserError
from hornbook.tokenizer import reference
from hornbook.tokenizer.base import SPECIAL_TOKENS, load_tokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.learn import PieceCounter, count_pieces, learn_merges
from hornbook.tokenizer.pretokenize import PATTERNS, pattern_regex, split
from hornbook.tokenizer.sample import sample
from hornbook.tokenizer.train import MAX_VOCAB, train_bpe, train_tokenizer
from tests.tokenizer.samples import nasty_text

REPEATING = [
    "aaaa",
    "aaab",
    "abab",
    "ababab",
    "a" * 27,
    "xyxyxyx",
    "é中文é中文",
    "\n\n  ",
]
tied_texts = st.lists(
    st.one_of(
        st.sampled_from(REPEATING), st.text("ab", min_size=1, max_size=30), nasty_text
    ),
    max_size=40,
).map(" ".join)


def learned(texts: list[str], pattern: str, n_merges: int, threads: int = 1):
    cells = count_pieces(texts, pattern, threads).lay_out()
    return [tuple(pair) for pair in learn_merges(cells, n_merges).tolist()]


@given(text=tied_texts, pattern=st.sampled_from([*PATTERNS, r"\p{L}+|[^\p{L}]"]))
def test_kernels_learn_what_the_reference_learns(text, pattern):
    pieces = Counter(piece.encode() for piece in split(text, pattern))
    assert learned([text], pattern, 60) == reference.train(pieces, 60)


def test_real_text_gives_the_references_merges(corpus):
    pieces = Counter(p.encode() for text in corpus for p in split(text, "gpt4"))
    expected = reference.train(pieces, 200)
    assert learned(corpus, "gpt4", 200) == expected
    assert learned(corpus * 3, "gpt4", 200, threads=3) == expected


def test_ties_go_to_the_smallest_pair():
    assert learned(["cd ab"], "gpt2", 1) == [(32, 97)]
    assert learned(["cd.ab"], "gpt2", 2) == [(97, 98), (99, 100)]


def test_counts_beyond_32_bits_stay_exact():
    counter = count_pieces(["ab cd cd"], "gpt2", 1)
    slots = counter.table.reshape(-1, 4)
    slots[slots[:, 0] == int.from_bytes(b"ab", "little"), 2] = 5_000_000_000
    cells = counter.lay_out()
    assert cells[:, 1].max() < 1 << 31
    assert learn_merges(cells, 1).tolist() == [[97, 98]]


def test_full_tables_drop_only_rare_pieces():
    common = " ".join(["common words stay for ever"] * 5000)
    rare = " ".join(map("".join, islice(product("abcdefghij", repeat=5), 40_000)))
    counter = PieceCounter("gpt2", bits=14, max_bits=14)
    for _ in range(3):
        counter.add([common.encode(), rare.encode()])
    assert counter.dropped > 10_000
    assert counter.bits == 14
    counts = counter.table.reshape(-1, 4)[:, 2]
    assert sorted(counts.tolist())[-5:] == [14997, 15000, 15000, 15000, 15000]


def test_a_sample_is_fair_and_does_not_depend_on_order(corpus):
    texts = [f"text {i} " + "x" * (i % 90) for i in range(2000)]
    chosen = list(sample(texts, 20_000))
    assert 20_000 <= sum(map(len, chosen)) < 20_200
    assert chosen == sorted(chosen, key=texts.index)
    assert set(sample(texts[::-1], 20_000)) == set(chosen)
    numbers = [texts.index(text) for text in chosen]
    assert 800 < sum(numbers) / len(numbers) < 1200
    assert list(sample(texts, 0)) == texts
    train_tokenizer(TokenizerConfig(vocab_size=300, max_bytes=5000), corpus)


def test_vocab_size_counts_everything(corpus):
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=512), corpus)
    assert tokenizer.vocab_size == 512
    assert tokenizer.special["<|endoftext|>"] == 512 - len(SPECIAL_TOKENS)
    assert max(tokenizer.special.values()) == 511
    assert 0 not in tokenizer.special.values()
    odd = train_tokenizer(TokenizerConfig(vocab_size=500), corpus)
    assert len(odd.tokens) == 500
    assert odd.vocab_size == 512
    assert odd.token_bytes(511) == b""


def test_corpus_too_small_names_the_largest_size():
    with pytest.raises(
        UserError, match=r"tokenizer\.vocab_size.*Set it to 266 at most"
    ):
        train_tokenizer(TokenizerConfig(vocab_size=1000), ["abcd"])
    with pytest.raises(UserError, match="Set it to 263 at most"):
        train_tokenizer(TokenizerConfig(vocab_size=1000), [""])
    full = train_tokenizer(TokenizerConfig(vocab_size=266), ["abcd"])
    assert full.encode("abcd") == [258]


def test_impossible_sizes_are_refused():
    for size in (262, 300_000):
        with pytest.raises(UserError, match=r"tokenizer\.vocab_size"):
            train_tokenizer(TokenizerConfig(vocab_size=size), ["text"])


def test_character_tokenizer_holds_the_characters_of_the_text():
    tokenizer = train_tokenizer(TokenizerConfig(kind="char"), ["hello", " wörld"])
    assert tokenizer.encode("hold") == [tokenizer.encode(c)[0] for c in "hold"]
    assert tokenizer.decode(tokenizer.encode("hello wörld")) == "hello wörld"
    assert tokenizer.encode("z") == [tokenizer.unknown]
    assert tokenizer.decode(tokenizer.encode("zo")) == "\ufffdo"
    assert tokenizer.unknown not in tokenizer.special.values()
    assert 0 not in tokenizer.special.values()


def test_word_tokenizer_keeps_the_most_frequent_words():
    config = TokenizerConfig(kind="word", vocab_size=10)
    tokenizer = train_tokenizer(config, ["a dog a dog a dog a cat"])
    assert tokenizer.decode(tokenizer.encode(" a dog")) == " a dog"
    assert tokenizer.encode(" cat") == [tokenizer.unknown]
    assert len(tokenizer.tokens) == 10


def test_byte_tokenizer_is_the_bytes():
    tokenizer = train_tokenizer(TokenizerConfig(kind="byte"), [])
    assert tokenizer.encode("hé") == list("hé".encode())


def test_surrogates_in_a_corpus_do_not_stop_training():
    train_tokenizer(TokenizerConfig(vocab_size=264), ["a\ud800b ab"])


def test_training_tells_how_far_it_is(corpus, monkeypatch, capsys):
    """Bytes counted and merges learned, each with a rate; merges also with the time left."""
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    train_tokenizer(TokenizerConfig(vocab_size=2048), corpus, threads=1)
    lines = capsys.readouterr().err.splitlines()
    assert any(re.match(r"tokenizer: count .* B/s", line) for line in lines)
    merged = [
        int(match[1])
        for line in lines
        if (match := re.match(r"tokenizer: merge +(\d+)% .* merge/s, .* left", line))
    ]
    assert merged == sorted(merged)
    assert merged[-1] == 100
    assert len(merged) >= 4


@pytest.mark.slow
def test_the_largest_vocabulary_is_learned_and_gives_tiktokens_ids(tmp_path):
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyzéж中"
    words = ["".join(rng.choices(letters, k=8)) for _ in range(150_000)]
    text = " ".join(words)
    tokenizer = train_bpe(TokenizerConfig(vocab_size=MAX_VOCAB), [text], threads=2)
    assert tokenizer.vocab_size == MAX_VOCAB == 262_144
    assert len(set(tokenizer.vocabulary.tokens)) == MAX_VOCAB - len(SPECIAL_TOKENS)
    assert max(tokenizer.special.values()) == MAX_VOCAB - 1
    ranks = {token: i for i, token in enumerate(tokenizer.vocabulary.tokens)}
    oracle = tiktoken.Encoding(
        "largest",
        pat_str=pattern_regex(tokenizer.pattern),
        mergeable_ranks=ranks,
        special_tokens={},
    )
    unseen = " ".join("".join(rng.choices(letters, k=8)) for _ in range(5_000))
    for part in (text[:200_000], unseen):
        ids = tokenizer.encode_array(part)
        assert ids.tolist() == oracle.encode_ordinary(part)
        assert tokenizer.decode(ids) == part
    assert ids.max() > 1 << 16
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path).encode(unseen) == tokenizer.encode(unseen)
