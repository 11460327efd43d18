"""The byte n-gram model: against a plain dictionary version, and as a distribution."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.evaluate import ngram
from hornbook.evaluate.ngram import ByteNgram


class PlainKneserNey:
    """The same model with dictionaries and a recursion, after the paper's formulas."""

    def __init__(self, text: bytes, order: int):
        self.order = order
        padded = bytes(order - 1) + text
        grams = Counter(padded[i : i + order] for i in range(len(text)))
        self.counts = {order: grams}
        for length in range(order - 1, 0, -1):
            grams = Counter(gram[1:] for gram in grams)
            self.counts[length] = grams
        self.discount, self.total, self.followers = {}, {}, {}
        for length, counts in self.counts.items():
            once = sum(c == 1 for c in counts.values())
            twice = sum(c == 2 for c in counts.values())
            self.discount[length] = once / (once + 2 * twice) if once else 0.5
            self.total[length], self.followers[length] = (
                defaultdict(int),
                defaultdict(int),
            )
            for gram, count in counts.items():
                self.total[length][gram[:-1]] += count
                self.followers[length][gram[:-1]] += 1

    def p(self, context: bytes, byte: int, length: int) -> float:
        if length == 0:
            return 1 / 256
        context = context[len(context) - length + 1 :] if length > 1 else b""
        shorter = self.p(context[1:], byte, length - 1)
        total = self.total[length].get(context, 0)
        if not total:
            return shorter
        d = self.discount[length]
        count = self.counts[length].get(context + bytes([byte]), 0)
        return (
            max(count - d, 0) + d * self.followers[length][context] * shorter
        ) / total

    def probabilities(self, text: bytes) -> list[float]:
        padded = bytes(self.order - 1) + text
        return [
            self.p(padded[i : i + self.order - 1], byte, self.order)
            for i, byte in enumerate(text)
        ]


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=120) | st.text("ab ", min_size=1).map(str.encode),
    st.binary(min_size=1, max_size=40) | st.text("abc ", min_size=1).map(str.encode),
    st.integers(1, 8),
)
def test_probabilities_equal_a_plain_dictionary_version(training, text, order):
    ours = ByteNgram.train([training], order).probabilities(text)
    plain = PlainKneserNey(training, order).probabilities(text)
    assert ours == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("order", [1, 3, 5, 8])
def test_the_256_next_bytes_share_one_probability(order):
    model = ByteNgram.train([b"to be or not to be, that is the question. " * 3], order)
    for context in (b"", b"to b", b"never seen \xff\xfe"):
        total = sum(
            model.probabilities(context + bytes([byte]))[-1] for byte in range(256)
        )
        assert total == pytest.approx(1)


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    training = bytes(rng.integers(97, 103, 5000, dtype=np.uint8))
    text = bytes(rng.integers(97, 103, 700, dtype=np.uint8))
    whole = ByteNgram.train([training], 4).probabilities(text)
    monkeypatch.setattr(ngram, "CHUNK", 333)
    pieces = [training[:1], b"", training[1:1700], training[1700:]]
    model = ByteNgram.train(pieces, 4)
    assert np.array_equal(model.probabilities(text), whole)
    assert all(sum(level.counts) == sum(level.totals) for level in model.levels)


def test_text_like_the_training_text_costs_less_and_longer_contexts_help():
    training = b"the cat sat on the mat and the dog sat on the log; " * 40
    text = b"the dog sat on the mat"
    bits = [ByteNgram.train([training], n).bits_per_byte(text) for n in (1, 2, 3, 4)]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] < 0.5
    assert ByteNgram.train([training], 4).bits_per_byte(b"XYZZY QQQ") > 6


def test_orders_beyond_a_machine_word_are_refused():
    with pytest.raises(ValueError, match="1 to 8"):
        ByteNgram.train([b"abc"], 9)
