"""The loader is a pure function of (shards, seed, step); an epoch sees each window once."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.data.config import (
    DataConfig,
    MixtureConfig,
)
from hornbook.data.loader import pretrain_batches, validation_batches
from hornbook.data.permutation import permute, random_number


@dataclass
class CountingShards:
    """As many tokens as one likes, each its own place: no memory needed."""

    tokens: int
    end_of_text: int = -1
    sizes: tuple[int, ...] = ()  # of the documents, which each are a source; else one

    @property
    def documents(self):
        return len(self.sizes) or 1

    @property
    def offsets(self):
        return np.cumsum([0, *(self.sizes or [self.tokens])])

    @property
    def sources(self):
        return {f"s{i}": range(i, i + 1) for i in range(self.documents)}

    def read(self, start, count):
        assert start >= 0
        assert start + count <= self.tokens
        return np.arange(start, start + count, dtype=np.int64)


def windows_of(shards, length, batch, seed):
    return pretrain_batches(shards, DataConfig(sources=()), length, batch, 1, seed)


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_a_permutation_reaches_every_place_once(size, key):
    places = permute(np.arange(size, dtype=np.uint64), size, key)
    assert sorted(places.tolist()) == list(range(size))


def test_permutations_of_other_keys_have_nothing_in_common():
    one = permute(np.arange(10_000, dtype=np.uint64), 10_000, random_number(1, 0))
    two = permute(np.arange(10_000, dtype=np.uint64), 10_000, random_number(1, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.05
    assert abs(np.corrcoef(one, np.arange(10_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.05
    assert (one == two).mean() < 0.002


@settings(max_examples=30, deadline=None)
@given(st.integers(9, 800), st.integers(1, 8), st.integers(1, 7), st.integers(0, 99))
def test_an_epoch_predicts_no_token_twice_and_nearly_all(tokens, length, batch, seed):
    batches = windows_of(CountingShards(tokens), length, batch, seed)
    for epoch in range(2):
        seen = []
        count = batches.parts[0].count
        for sample in range(epoch * count, (epoch + 1) * count):
            row = sample % batch
            seen += batches(sample // batch).targets[row].tolist()
        assert len(seen) == len(set(seen))
        assert len(seen) > tokens - 1 - 2 * length


def test_targets_are_the_next_tokens():
    batch = windows_of(CountingShards(10_000), 16, 4, seed=3)(7)
    assert batch.tokens.shape == batch.targets.shape == (4, 16)
    assert (batch.targets == batch.tokens + 1).all()
    assert batch.weight == 64


def test_a_step_is_the_same_in_any_order_and_another_with_another_seed():
    shards = CountingShards(5000)
    one, two = (windows_of(shards, 8, 4, seed=1) for _ in range(2))
    forward = [one(step).tokens.tolist() for step in range(50)]
    backward = [two(step).tokens.tolist() for step in reversed(range(50))]
    assert forward == backward[::-1]
    assert windows_of(shards, 8, 4, seed=2)(0).tokens.tolist() != forward[0]


def test_epochs_differ_in_order_and_in_where_windows_begin():
    (windows,) = windows_of(CountingShards(1001), 10, 1, seed=1).parts
    first, second = (
        windows.starts(np.arange(epoch * windows.count, (epoch + 1) * windows.count))
        for epoch in (0, 1)
    )
    beginnings = windows.starts(np.arange(60) * windows.count)
    assert first != second
    assert len({start % 10 for start in beginnings}) == 10


def test_a_trillion_tokens_need_no_list():
    batches = windows_of(CountingShards(10**12), 2048, 512, seed=1)
    last = int(batches.steps_per_epoch)
    for step in (0, last, 10 * last):
        batch = batches(step)
        assert batch.tokens.shape == (512, 2048)
        assert len(set(batch.tokens[:, 0].tolist())) == 512


def test_a_corpus_shorter_than_one_context_is_refused():
    with pytest.raises(UserError, match=r"16 tokens.*context of 16"):
        windows_of(CountingShards(16), 16, 1, seed=1)
    batch = windows_of(CountingShards(17), 16, 2, seed=1)(5)
    assert batch.tokens[:, 0].tolist() == [0, 0]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 500), st.integers(1, 20), st.integers(1, 6))
def test_validation_predicts_every_token_exactly_once(tokens, length, batch):
    predicted = []
    for item in validation_batches(CountingShards(tokens), length, batch):
        assert item.tokens.shape == item.targets.shape
        assert item.tokens.shape[1] == length
        assert item.size <= batch
        for token, target in zip(
            item.tokens.flatten(), item.targets.flatten(), strict=True
        ):
            if target != IGNORE:
                predicted.append(int(target))
                assert int(token) == (int(target) - 1)  # -1 is <|endoftext|> here
    assert predicted == list(range(tokens))


def test_an_empty_validation_set_is_refused():
    with pytest.raises(UserError, match="no tokens"):
        validation_batches(CountingShards(0), 8, 2)


def test_with_a_mixture_each_row_is_of_one_source_and_shares_are_kept():
    shards = CountingShards(30_000, sizes=(10_000, 20_000))
    data = DataConfig(sources=(), mixture=MixtureConfig(weights={"s0": 3, "s1": 1}))
    batches = pretrain_batches(shards, data, 50, 8, 100, seed=1)
    rows = torch.cat([batches(step).targets for step in range(100)])
    of_second = rows >= 10_000
    assert (of_second.all(1) | (~of_second).all(1)).all()
    assert of_second.float().mean() == pytest.approx(0.25, abs=0.002)
    assert batches.facts()["mixture"]["s0"]["share"] == pytest.approx(0.75, abs=0.002)
    again = pretrain_batches(shards, data, 50, 8, 100, seed=1)
    assert (again(77).tokens == batches(77).tokens).all()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=30),
    st.integers(2, 40),
    st.integers(1, 5),
)
def test_packed_documents_are_each_predicted_once_and_never_see_another(
    sizes, length, batch
):
    shards = CountingShards(sum(sizes), sizes=tuple(sizes))
    data = DataConfig(sources=(), packing="documents")
    batches = pretrain_batches(shards, data, length, batch, 1, seed=3)
    (rows,) = batches.parts
    edges = shards.offsets
    predicted = []
    for number in range(rows.count):
        tokens, targets, segments = rows.rows(np.array([number]))[0]
        for segment in range(1, int(segments.max()) + 1):
            here = targets[segments == segment]
            predicted += here.tolist()
            document = np.searchsorted(edges, here, side="right")
            assert len(set(document.tolist())) == 1
            assert (tokens[segments == segment] == here - 1).all()
        assert (targets[segments == 0] == IGNORE).all()
    assert sorted(predicted) == list(range(sum(sizes)))
    assert rows.waste == pytest.approx(1 - sum(sizes) / (rows.count * length))
    assert batches(2).segments.shape == (batch, length)
