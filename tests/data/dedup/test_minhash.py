"""MinHash against its definition: words, shingles, true similarity and its estimate."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.arrow import text_buffers
from hornbook.data.dedup.minhash import band_keys, jaccard, sketch
from hornbook.data.dedup.sets import flat_sets


def buffers(texts):
    return text_buffers(pa.array(texts, pa.large_string()))


def sets(texts, ngram=5):
    flat, ends = flat_sets(*buffers(texts), np.arange(len(texts)), ngram)
    return np.split(flat, ends[1:-1])


def reference_shingles(text, n):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


words = st.text(st.sampled_from("abAB_1éÉжЖ .,-\n—“\u00a0"), max_size=120)


@settings(max_examples=200, deadline=None)
@given(words, words, st.integers(1, 4))
def test_shingles_are_those_of_lower_cased_words(left, right, n):
    a, b = sets([left, right], n)
    one, two = reference_shingles(left, n), reference_shingles(right, n)
    assert (len(a), len(b)) == (len(one), len(two))
    assert jaccard(a, b) == pytest.approx(len(one & two) / max(len(one | two), 1))


def test_scripts_without_blanks_give_one_word_per_character():
    chinese, changed = "天地玄黄宇宙洪荒日月盈昃", "天地玄黄，宇宙洪荒。日月盈"
    a, b = sets([chinese, changed], 3)
    assert (len(a), len(b)) == (10, 9)
    assert jaccard(a, b) == pytest.approx(9 / 10)


def test_keys_depend_on_the_set_of_shingles_alone():
    text = "one two three four five six seven eight"
    shouted = "  ONE, two; THREE\tfour: five -- six (seven) EIGHT!\n"
    keys, shingles = band_keys(*buffers([text, shouted, text + " nine"]), 5, 14, 8)
    assert shingles.tolist() == [4, 4, 5]
    assert (keys[:, 0] == keys[:, 1]).all()
    assert (keys[:, 0] != keys[:, 2]).any()


def test_keys_do_not_depend_on_the_batch():
    texts = [
        "a b c d e f g",
        "x " * 5000,
        "",
        "short one",
        "日本語 の テキスト です ね え",
    ]
    together, _ = band_keys(*buffers(texts), 5, 14, 8)
    for d, text in enumerate(texts):
        alone, _ = band_keys(*buffers([text]), 5, 14, 8)
        assert (alone[:, 0] == together[:, d]).all()


def test_a_text_shorter_than_a_shingle_has_none():
    _, shingles = band_keys(
        *buffers(["", "one", "one two three four", "1 2 3 4 5"]), 5, 2, 2
    )
    assert shingles.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize(
    ("size", "places"), [(10, 112), (100, 112), (1000, 112), (50, 1500), (3000, 9000)]
)
def test_signatures_agree_as_often_as_the_sets_are_similar(similarity, size, places):
    """Unbiased, and no further from the truth than independent samples would be."""
    random = np.random.default_rng(7)
    repeats = 200 if places < 1000 else 40
    common = round(size * similarity)
    rest = max((size - common) // 2, 1)
    truth = common / (common + 2 * rest)
    left, right = np.empty(places, np.uint32), np.empty(places, np.uint32)
    errors = []
    for _ in range(repeats):
        hashes = random.integers(0, 2**64, common + 2 * rest, dtype=np.uint64)
        sketch(hashes[: common + rest], left)
        sketch(np.concatenate([hashes[:common], hashes[common + rest :]]), right)
        errors.append((left == right).mean() - truth)
    deviation = (truth * (1 - truth) / places) ** 0.5
    # What is borrowed says nothing new: small sets lose up to a quarter (see ROUNDS).
    assert abs(np.mean(errors)) < 4 * np.std(errors) / repeats**0.5 + 1e-9
    assert np.std(errors) < 1.3 * deviation


def test_keys_are_fixed():
    """Keys of two runs must be comparable: they may never change by accident.

    Who changes them on purpose counts ``signatures.VERSION`` up.
    """
    text = "The quick brown fox jumps over the lazy dog; Füchse mögen 東京 sehr gern."
    keys, _ = band_keys(*buffers([text]), 5, 2, 4)
    assert [f"{key:016x}" for key in keys[:, 0]] == [
        "fc5148c8315aec6f",
        "b1dafbb9647c3841",
    ]
