"""Thinned curves: short, in order, and with every spike."""

import math

from hypothesis import given
from hypothesis import strategies as st

from hornbook.report.series import not_finite, thin


def test_short_curves_stay_as_they_are():
    points = [(0.0, 1.0), (1.0, 2.0)]
    assert thin(points) == points
    assert thin([]) == []


def test_a_spike_of_one_step_survives():
    points = [(float(k), 1.0) for k in range(100_000)]
    points[54_321] = (54_321.0, 9.0)
    points[77_777] = (77_777.0, -9.0)
    thinned = thin(points)
    assert len(thinned) <= 600
    assert (54_321.0, 9.0) in thinned
    assert (77_777.0, -9.0) in thinned
    assert thinned[0] == points[0]
    assert thinned[-1] == points[-1]


@given(st.lists(st.floats(-1e9, 1e9), max_size=400), st.integers(4, 90))
def test_thinned_points_are_few_ordered_and_span_the_same(values, n):
    points = [(float(k), y) for k, y in enumerate(values)]
    thinned = thin(points, n)
    assert len(thinned) == min(len(points), len(thinned)) <= max(n, 0)
    assert thinned == sorted(thinned)
    assert set(thinned) <= set(points)
    if points:
        assert min(y for _, y in thinned) == min(values)
        assert max(y for _, y in thinned) == max(values)


def test_what_cannot_be_drawn_is_left_out_and_counted():
    points = [(0.0, 1.0), (1.0, math.nan), (2.0, math.inf), (3.0, 2.0)]
    assert thin(points) == [(0.0, 1.0), (3.0, 2.0)]
    assert not_finite(points) == 2
