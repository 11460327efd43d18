"""Words of texts, found by blocks of bits, against a regular expression."""

import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hornbook.data.arrow import text_buffers
from hornbook.data.shingles import find_words, word_tables

# Short words, words longer than a block of 64 bytes, and both with letters beyond ASCII.
pieces = st.one_of(
    st.sampled_from(
        ["a", "Of", "x_1", "ÉTÉ", "жук", " ", "\n    ", ", ", "—", "\u00a0"]
    ),
    st.text("aB_9", min_size=1, max_size=12),
    st.integers(60, 140).map(lambda n: "w" * n),
    st.integers(55, 70).map(lambda n: " " * n),
)
texts = st.lists(st.lists(pieces, max_size=40).map("".join), min_size=1, max_size=4)


def words_of(batch):
    """The hash and the bytes of every word, text by text."""
    buffer, offsets = text_buffers(pa.array(batch, pa.large_string()))
    found = []
    for start, end in pairwise(offsets):
        words = np.empty(end - start + 1, np.uint64)
        places = np.empty((end - start + 1, 2), np.int64)
        count = find_words(buffer, start, end, *word_tables(), words, places)
        cut = [buffer[a:b].tobytes().decode() for a, b in places[:count]]
        found.append((words[:count].tolist(), cut))
    return found


@settings(max_examples=300, deadline=None)
@given(texts)
@example(["a" * 64, "b" * 128 + " " + "c" * 64, " " * 64 + "é", "d" * 63 + "é"])
def test_words_are_the_runs_of_letters_digits_and_underscores(batch):
    for text, (_, cut) in zip(batch, words_of(batch), strict=True):
        assert cut == re.findall(r"\w+", text)


@settings(max_examples=300, deadline=None)
@given(texts)
def test_words_have_one_hash_exactly_when_they_are_the_same_in_lower_case(batch):
    by_word, by_hash = {}, {}
    for hashes, cut in words_of(batch):
        for number, word in zip(hashes, cut, strict=True):
            assert by_word.setdefault(word.lower(), number) == number
            assert by_hash.setdefault(number, word.lower()) == word.lower()


def test_a_word_has_the_same_hash_wherever_it_lies():
    """Near the end of all texts words are read otherwise than far from it."""
    word = "Under_score9 and more_than_eight letters, café"
    (near, _), (far, _) = words_of([word])[0], words_of([word + " " * 200])[0]
    assert near == far
