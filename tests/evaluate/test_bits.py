"""Bits per byte: every token predicted once, with its context, by a model we can check."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.evaluate.bits import bits_per_byte, score_documents, sliding_windows


class ByteTokenizer:
    """One token per byte; 256 ends a document."""

    special = {"<|endoftext|>": 256}  # noqa: RUF012

    def encode_array(self, text):
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)


class Uniform(nn.Module):
    """Knows nothing."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, tokens, segments=None):
        return torch.zeros(*tokens.shape, 257) + self.weight


class WindowSum(nn.Module):
    """A causal model whose prediction depends on the whole window to the left."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.embedding = nn.Embedding(257, 12)
        self.head = nn.Linear(12, 257)

    def forward(self, tokens, segments=None):
        return self.head(torch.tanh(self.embedding(tokens).cumsum(1)))


def test_bits_per_byte_of_a_uniform_guess_is_its_entropy():
    documents = ["hello", "", "world, again"]
    cost = score_documents(Uniform(), ByteTokenizer(), documents, context_length=4)
    assert cost.n_tokens == 17 + 3
    assert cost.n_bytes.tolist() == [5, 0, 12]
    assert cost.nats == pytest.approx(np.array([6, 1, 13]) * math.log(257))
    assert cost.bits_per_byte == pytest.approx(20 * math.log2(257) / 17)
    assert bits_per_byte(math.log(2) * 30, 10) == pytest.approx(3)


@given(
    st.integers(0, 90),
    st.integers(1, 12).flatmap(lambda c: st.tuples(st.just(c), st.integers(1, c))),
    st.integers(1, 5),
)
def test_every_token_but_the_first_is_predicted_once_with_enough_context(
    n, sizes, batch
):
    context_length, stride = sizes
    tokens = np.arange(1000, 1000 + n)
    predicted = []
    for window, places in sliding_windows(tokens, context_length, stride, batch):
        assert window.tokens.shape == window.targets.shape == places.shape
        counted = (window.targets != IGNORE).numpy()
        for row in range(len(places)):
            for column in np.flatnonzero(counted[row]):
                place = places[row, column]
                assert window.targets[row, column] == tokens[place]
                # what stands to its left in the window is what stands there in the text
                assert window.tokens[row, : column + 1].tolist() == (
                    tokens[place - column - 1 : place].tolist()
                )
                assert column + 1 >= min(place, context_length - stride + 1)
                predicted.append(int(place))
    assert predicted == list(range(1, n))


@torch.no_grad()
def test_costs_equal_a_token_by_token_computation():
    model, tokenizer, context, stride = WindowSum(), ByteTokenizer(), 8, 3
    documents = ["the first document", "x", "and the third one"]
    stream = [256]
    for text in documents:
        stream += [*text.encode(), 256]
    expected = np.zeros(3)
    document = 0
    for place in range(1, len(stream)):
        # the window that scores this place is the first that reaches it
        last = len(stream) - 1 - context
        starts = [*range(0, last, stride), last]
        start = next(s for s in starts if s + context >= place)
        logits = model(torch.tensor([stream[start:place]]))[0, -1]
        expected[document] -= float(logits.log_softmax(0)[stream[place]])
        document += stream[place] == 256
    cost = score_documents(model, tokenizer, documents, context, stride, batch=2)
    assert cost.nats == pytest.approx(expected, rel=1e-5)


def test_the_result_names_its_interval_and_baselines():
    documents = ["some text", "and some more of it"] * 8
    cost = score_documents(WindowSum(), ByteTokenizer(), documents, 16)
    result = cost.result({"xz -9e": 2.0})
    low, high = result["ci95"]
    assert low < result["value"] < high
    assert result["higher_is_better"] is False
    assert result["baselines"] == {"xz -9e": 2.0}
    assert "16 documents" in result["note"]


@pytest.mark.parametrize("documents", [[], ["", ""]])
def test_no_held_out_text_is_the_users_to_mend(documents):
    with pytest.raises(UserError, match=r"data\.split\.holdout"):
        score_documents(Uniform(), ByteTokenizer(), documents, 8)
