"""Penalties and bias: Transformers' processor and OpenAI's formula as oracles."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.infer.config import SamplingConfig
from hornbook.infer.logits import adjust, is_plain

VOCAB = 30
TOKENS = st.lists(st.integers(0, VOCAB - 1), max_size=12)


def some_logits(seed: int) -> torch.Tensor:
    return 3 * torch.randn(VOCAB, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(TOKENS, TOKENS, st.floats(0.2, 3), st.integers(0, 99))
def test_repetition_penalty_is_transformers(prompt, written, penalty, seed):
    process = pytest.importorskip("transformers.generation.logits_process")
    ids = torch.tensor([[*prompt, *written]], dtype=torch.long)
    oracle = process.RepetitionPenaltyLogitsProcessor(penalty)
    expected = oracle(ids, some_logits(seed)[None])[0]
    ours = some_logits(seed)
    adjust(ours, prompt, written, SamplingConfig(repetition_penalty=penalty))
    torch.testing.assert_close(ours, expected)


@settings(max_examples=60, deadline=None)
@given(TOKENS, TOKENS, st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 99))
def test_frequency_and_presence_penalties_are_openais(
    prompt, written, frequency, presence, seed
):
    expected = some_logits(seed)
    for token in range(VOCAB):  # mu[j] - c[j] * frequency - (c[j] > 0) * presence
        count = written.count(token)
        expected[token] -= count * frequency + (count > 0) * presence
    ours = some_logits(seed)
    sampling = SamplingConfig(frequency_penalty=frequency, presence_penalty=presence)
    adjust(ours, prompt, written, sampling)
    torch.testing.assert_close(ours, expected)


def test_bias_is_added_and_only_named_tokens_change():
    ours = some_logits(1)
    sampling = SamplingConfig(logit_bias={3: 5.0, 7: -100.0})
    adjust(ours, [3], [7], sampling)
    expected = some_logits(1)
    expected[3] += 5
    expected[7] -= 100
    assert torch.equal(ours, expected)


def test_plain_settings_change_nothing():
    assert is_plain(SamplingConfig(temperature=0.3, top_p=0.5))
    for change in (
        {"repetition_penalty": 1.1},
        {"frequency_penalty": -0.1},
        {"presence_penalty": 0.1},
        {"logit_bias": {1: 1.0}},
    ):
        assert not is_plain(SamplingConfig(**change))
