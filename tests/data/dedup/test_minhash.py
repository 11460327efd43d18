"""MinHash against its definition: words, shingles, true similarity and its estimate."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.arrow import text_buffers
from hornbook.data.dedup import minhash
from hornbook.data.dedup.minhash import band_keys, jaccard, shingle_sets


def buffers(texts):
    return text_buffers(pa.array(texts, pa.large_string()))


def sets(texts, ngram=5):
    return shingle_sets(*buffers(texts), np.arange(len(texts)), ngram)


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
def test_signatures_agree_as_often_as_the_texts_are_similar(similarity):
    """One row per band: the share of equal keys then estimates the Jaccard similarity."""
    random = np.random.default_rng(7)
    total, errors = 1000, []
    for _ in range(20):
        names = random.integers(0, 2**31, 2 * total)
        common = round(total * similarity)
        rest = (total - common) // 2
        left = list(names[: common + rest])
        right = list(names[:common]) + list(names[common + rest : common + 2 * rest])
        texts = [" ".join(map(str, side)) for side in (left, right)]
        keys, _ = band_keys(*buffers(texts), 1, 256, 1)
        truth = jaccard(*sets(texts, 1))
        errors.append((keys[:, 0] == keys[:, 1]).mean() - truth)
    deviation = (similarity * (1 - similarity) / 256) ** 0.5
    assert abs(np.mean(errors)) < 4 * deviation / 20**0.5  # unbiased
    assert np.std(errors) < 1.6 * deviation


def test_the_hash_family_is_fixed():
    """Signatures of two runs must be comparable: the family may never change by accident."""
    a, b = minhash.affine_family(112)
    assert (a[:2].tolist(), b[:2].tolist()) == (
        [1807797819, 286912445],
        [294744602, 3481958849],
    )
    assert (a % 2 == 1).all()
