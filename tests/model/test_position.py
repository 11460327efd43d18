"""Positions: the formulas of their papers, and what they promise."""

import math

import pytest
import torch
from shapes import tiny

from hornbook.model.config import RopeScaling
from hornbook.model.mask import masks, windows
from hornbook.model.position import SinusoidalPositions, alibi_slopes
from hornbook.model.rope import Rotary, frequencies, ntk_base, rotate


def test_alibis_slopes_are_the_papers():
    assert alibi_slopes(8) == [2.0**-n for n in range(1, 9)]
    twelve = alibi_slopes(12)
    assert twelve[:8] == alibi_slopes(8)
    assert twelve[8:] == pytest.approx([2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])


def test_alibi_takes_slope_times_distance_from_the_scores():
    mask = masks(tiny("alibi"), 5, None, None, 5, torch.device("cpu"))[0]
    assert mask is not None
    assert mask[0, 1, 4, 1] == -3 * alibi_slopes(4)[1]
    assert mask[0, 1, 1, 4] == float("-inf")


def test_sines_and_cosines_are_the_papers():
    table = SinusoidalPositions(tiny("sinusoidal")).table
    for place, pair in ((0, 0), (7, 0), (13, 5)):
        angle = place / 10_000 ** (2 * pair / 32)
        assert table[place, 2 * pair] == pytest.approx(math.sin(angle), abs=1e-5)
        assert table[place, 2 * pair + 1] == pytest.approx(math.cos(angle), abs=1e-5)


def test_rotated_products_depend_on_the_distance_only():
    rotary = Rotary(tiny(), 8)
    query, key = torch.randn(8), torch.randn(8)

    def product(i: int, j: int) -> float:
        cos, sin = rotary.cos, rotary.sin
        a = rotate(query, (cos[i], sin[i]))
        b = rotate(key, (cos[j], sin[j]))
        return (a @ b).item()

    assert product(9, 4) == pytest.approx(product(40, 35), abs=1e-4)
    assert product(9, 4) != pytest.approx(product(9, 5), abs=1e-4)


@pytest.mark.parametrize("kind", ["linear", "ntk", "llama3", "yarn"])
def test_scaling_slows_the_slowest_pair_by_the_factor_and_others_no_more(kind):
    scaling = RopeScaling(kind=kind, factor=4.0, original=32)
    plain, _ = frequencies(64, 500.0, None)
    scaled, _ = frequencies(64, 500.0, scaling)
    ratio = plain / scaled
    assert ratio[-1] == pytest.approx(4.0, rel=1e-6)
    assert (ratio <= 4.0 + 1e-9).all()
    assert (ratio >= 1.0 - 1e-9).all()
    assert ratio[0] == pytest.approx(4.0 if kind == "linear" else 1.0)


def test_ntk_is_another_base():
    scaling = RopeScaling(kind="ntk", factor=4.0, original=32)
    speeds, _ = frequencies(64, 500.0, scaling)
    other, _ = frequencies(64, ntk_base(64, 500.0, 4.0), None)
    torch.testing.assert_close(speeds, other)


def test_windows_repeat_and_end_where_they_should():
    config = tiny(windows=(3, 0), n_layers=5)
    assert windows(config) == [3, 0, 3, 0, 3]
    narrow = masks(config, 6, None, None, 6, torch.device("cpu"))[3]
    assert narrow is not None
    assert narrow[0, 0, 5].tolist() == [False, False, False, True, True, True]
