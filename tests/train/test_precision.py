"""float16 with loss scaling, and float8 where there is none."""

import shutil

import msgspec
import pytest
import torch

from hornbook.core.errors import UserError
from hornbook.train.backend import choose_backend
from hornbook.train.config import TrainConfig
from hornbook.train.metrics import read_metrics
from hornbook.train.scaler import PATIENCE, START, LossScaler


def half(small, **changes):
    return msgspec.structs.replace(small.config, precision="float16", **changes)


def test_float16_learns_like_float32(small, tmp_path):
    lasts = []
    for precision in ("float32", "float16"):
        config = msgspec.structs.replace(small.config, steps=150, precision=precision)
        small.run(tmp_path / precision, config)
        losses = [
            r["loss"] for r in read_metrics(tmp_path / precision / "metrics.jsonl")
        ]
        lasts.append(sum(losses[-20:]) / 20)
    assert lasts[1] == pytest.approx(lasts[0], rel=0.15)


@pytest.mark.parametrize("cut", [3, 7, 11])
def test_the_scale_is_part_of_a_checkpoint(small, tmp_path, cut):
    whole = small.run(tmp_path / "whole", half(small))
    with pytest.raises(small.Stop):
        small.run(tmp_path / "cut", half(small), small.stop_at(cut))
    assert small.digest(small.run(tmp_path / "cut", half(small))) == small.digest(whole)


def test_a_step_that_overflows_is_done_again_with_a_smaller_scale(small, tmp_path):
    """A scale far too large at the start: it comes down without losing a batch."""
    import hornbook.train.step as step

    class Large(LossScaler):
        def __init__(self, scale=2.0**30, held=0):
            super().__init__(scale, held)

    original, step.LossScaler = step.LossScaler, Large
    try:
        path = small.run(tmp_path / "a", half(small))
    finally:
        step.LossScaler = original
    records = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert not [r for r in records if "event" in r]
    state = msgspec.json.decode((path / "trainer.json").read_bytes())
    assert state["scaler"]["scale"] < 2.0**30
    assert state["scaler"]["held"] <= 12


def test_the_scale_falls_by_halves_and_rises_after_a_long_time():
    scaler = LossScaler()
    assert not scaler.accepts(True, False)
    assert scaler.scale == START / 2
    for _ in range(PATIENCE):
        assert scaler.accepts(True, True)
    assert scaler.scale == START
    assert scaler.accepts(False, False)  # no scale mends a loss that is no number
    assert LossScaler(scale=1.0).accepts(True, False)


def test_float8_without_the_hardware_is_refused_with_the_way_out(small):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    config = msgspec.structs.replace(small.config, precision="float8")
    with pytest.raises(
        UserError, match=r"needs a GPU that multiplies it.*set 'precision'"
    ):
        choose_backend(config, "cpu")


def test_a_processor_trains_eagerly_unless_the_recipe_asks_for_the_compiler():
    long = TrainConfig(steps=10_000)
    assert not choose_backend(long, "cpu").compile
    asked = msgspec.structs.replace(long, compile="yes")
    assert choose_backend(asked, "cpu").compile or not any(
        shutil.which(name) for name in ("c++", "g++", "clang++")
    )
