"""The mixture: each source gets its share, and a sample's source is a pure function."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.config import MixtureConfig
from hornbook.data.mixture import epochs_per_source, plan_mixture

SIZES = {"books": 1000, "code": 9000}


@pytest.mark.parametrize(
    ("config", "budget", "epochs"),
    [
        (MixtureConfig(), 10_000, {"books": 1, "code": 1}),
        (
            MixtureConfig(weights={"books": 1, "code": 1}),
            10_000,
            {"books": 4, "code": 6000 / 9000},
        ),
        (
            MixtureConfig(weights={"books": 1, "code": 3}),
            10_000,
            {"books": 2.5, "code": 7500 / 9000},
        ),
        (MixtureConfig(weights={"code": 1}), 10_000, {"books": 0, "code": 10 / 9}),
        (MixtureConfig(temperature=2), 10_000, {"books": 2.5, "code": 7500 / 9000}),
        (MixtureConfig(), 1000, {"books": 0.1, "code": 0.1}),
        (MixtureConfig(max_epochs=0.5), 10_000, {"books": 0.5, "code": 0.5}),
    ],
)
def test_epochs_give_each_source_its_share(config, budget, epochs):
    assert epochs_per_source(config, SIZES, budget) == pytest.approx(epochs)


def test_an_unknown_source_and_an_empty_mix_are_refused():
    with pytest.raises(UserError, match="names 'boks', which is no source"):
        epochs_per_source(MixtureConfig(weights={"boks": 1}), SIZES, 1)
    with pytest.raises(UserError, match="no source with any text"):
        epochs_per_source(MixtureConfig(weights={"code": 0}), SIZES, 1)


def test_shares_and_epochs_come_out_as_planned():
    config = MixtureConfig(weights={"books": 1, "code": 3}, max_epochs=2)
    mixture = plan_mixture(config, {"books": 500, "code": 9000}, 20_000, seed=1)
    # Books reach their cap; code is seen as often as there are samples left.
    assert mixture.epochs == pytest.approx({"books": 2.105, "code": 2.105}, abs=0.01)
    source, _ = mixture.locate(np.arange(20_000))
    found = np.bincount(source) / 20_000
    assert found.tolist() == pytest.approx(list(mixture.shares.values()))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
    st.integers(1, 3000),
    st.integers(0, 99),
)
def test_a_source_is_visited_in_turn_without_gaps_or_repeats(sizes, samples, seed):
    windows = {f"s{i}": size for i, size in enumerate(sizes)}
    config = MixtureConfig(temperature=2)
    mixture = plan_mixture(config, windows, samples, seed)
    block = int(mixture.quotas.sum())
    source, position = mixture.locate(np.arange(3 * block))
    for number in range(len(sizes)):
        seen = position[source == number]
        assert sorted(seen.tolist()) == list(range(3 * mixture.quotas[number]))
    one = mixture.locate(np.array([2 * block - 1]))
    assert (int(one[0][0]), int(one[1][0])) == (
        int(source[2 * block - 1]),
        int(position[2 * block - 1]),
    )


def test_sources_are_mixed_within_a_block():
    mixture = plan_mixture(MixtureConfig(), {"a": 5000, "b": 5000}, 10_000, seed=3)
    source, _ = mixture.locate(np.arange(10_000))
    for part in np.split(source, 20):
        assert 0.35 < part.mean() < 0.65


def test_a_tiny_weight_still_counts():
    config = MixtureConfig(weights={"a": 1, "b": 1e-9})
    mixture = plan_mixture(config, {"a": 10**6, "b": 10**6}, 10**6, seed=1)
    assert mixture.quotas[1] == 1
