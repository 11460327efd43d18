"""Sampling: the right distribution, Transformers as oracle, draws that depend on counters."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.infer.config import SamplingConfig
from hornbook.infer.sampling import probabilities, sample, uniform


def some_logits(rows=4, vocab=50, seed=0):
    return 3 * torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(
    temperature=st.floats(0.1, 3),
    top_k=st.integers(0, 60),
    top_p=st.floats(0.05, 1),
    min_p=st.floats(0, 0.9),
    seed=st.integers(0, 1000),
)
def test_distribution_equals_transformers_processors(
    temperature, top_k, top_p, min_p, seed
):
    process = pytest.importorskip("transformers.generation.logits_process")
    logits = some_logits(seed=seed)
    steps = [process.TemperatureLogitsWarper(temperature)]
    steps += [process.TopKLogitsWarper(top_k)] if top_k else []
    steps += [process.TopPLogitsWarper(top_p)] if top_p < 1 else []
    steps += [process.MinPLogitsWarper(min_p)] if min_p else []
    expected = logits
    for step in steps:
        expected = step(None, expected)
    ours = probabilities(
        logits,
        SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p),
    )
    torch.testing.assert_close(ours, expected.softmax(-1), atol=1e-6, rtol=1e-4)


def test_samples_follow_the_distribution():
    logits, sampling = some_logits(1, 6), SamplingConfig(temperature=1.5)
    n = 20_000
    draws = [uniform(7, 0, step) for step in range(n)]
    chosen = sample(logits.expand(n, -1), draws, sampling)
    counts = torch.bincount(torch.tensor(chosen), minlength=6) / n
    expected = probabilities(logits, sampling)[0]
    deviation = (expected * (1 - expected) / n).sqrt()
    assert ((counts - expected).abs() < 4.5 * deviation + 1e-9).all()


def test_temperature_zero_is_the_likeliest_token():
    logits = some_logits(8)
    greedy = sample(logits, [0.99] * 8, SamplingConfig(temperature=0))
    assert greedy == logits.argmax(-1).tolist()
    narrow = sample(logits, [0.99] * 8, SamplingConfig(temperature=1, top_k=1))
    assert narrow == greedy
    assert sample(logits, [0.99] * 8, SamplingConfig(top_p=0.0)) == greedy


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 50))
def test_an_impossible_token_is_never_chosen(draw, seed):
    logits = some_logits(1, 9, seed)
    logits[0, [0, 4, 8]] = -math.inf
    for point in (draw, 0.0, 1 - 2**-53):
        chosen = sample(logits, [point], SamplingConfig(temperature=1))
        assert chosen[0] in {1, 2, 3, 5, 6, 7}


def test_draws_are_uniform_and_differ_between_counters():
    draws = torch.tensor(
        [uniform(s, n, t) for s in range(10) for n in range(10) for t in range(100)]
    )
    assert ((draws >= 0) & (draws < 1)).all()
    assert len(draws.unique()) > 9_990
    counts = torch.histc(draws, bins=20, min=0, max=1)
    chi_square = ((counts - 500) ** 2 / 500).sum()
    assert chi_square < 50  # 19 degrees of freedom: chance of more is 1e-4
    assert uniform(-1, 0, 0) != uniform(1, 0, 0)
