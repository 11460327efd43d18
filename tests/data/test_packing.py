import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.data.packing import pack_rows


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(40, 60))
def test_everything_is_packed_once_and_nothing_overflows(lengths, capacity):
    rows = pack_rows(lengths, capacity)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in row) <= capacity for row in rows)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=80))
def test_no_two_rows_could_be_one(lengths):
    sums = sorted(sum(lengths[i] for i in row) for row in pack_rows(lengths, 40))
    assert len(sums) == 1 or sums[0] + sums[1] > 40


def test_waste_stays_below_two_per_cent_on_short_chats():
    rng = random.Random(1)
    lengths = [min(200, 18 + int(rng.lognormvariate(3, 0.8))) for _ in range(5000)]
    rows = pack_rows(lengths, 256)
    assert 1 - sum(lengths) / (256 * len(rows)) < 0.02


def test_too_long_a_sequence_is_refused():
    with pytest.raises(ValueError, match="41 tokens"):
        pack_rows([3, 41], 40)
