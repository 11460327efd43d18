"""Axes that fit or are refused, the choice of `auto`, and the forecast behind it."""

import dataclasses

import msgspec
import pytest

from hornbook.core.errors import UserError
from hornbook.model.presets import preset
from hornbook.train.config import TrainConfig
from hornbook.train.hardware import GPUS
from hornbook.train.parallel.auto import chosen, layouts
from hornbook.train.parallel.config import ParallelConfig
from hornbook.train.parallel.forecast import Cluster, forecast
from hornbook.train.parallel.layout import AXES, check, copies, filled
from tests.train.parallel import cases

LLAMA = preset("llama-8b", context_length=8192)
TRAIN = TrainConfig(steps=1, batch=16, micro_batch=2, optimizer="adamw")


def test_data_takes_what_the_other_axes_leave():
    assert filled(ParallelConfig(shard=2, tensor=4), 32).data == 4
    assert copies(filled(ParallelConfig(shard=2, tensor=4), 32)) == 8


@pytest.mark.parametrize(
    ("axes", "processes", "told"),
    [
        ({"shard": 3}, 8, "there are 8"),
        ({"data": 2, "tensor": 2}, 8, "4 processes or a multiple"),
    ],
)
def test_axes_that_do_not_divide_the_processes_are_refused(axes, processes, told):
    with pytest.raises(UserError, match=told):
        filled(ParallelConfig(**axes), processes)


@pytest.mark.parametrize(
    ("axes", "model", "told"),
    [
        ({"tensor": 3}, {}, "'model.n_heads' .4. must be a multiple"),
        ({"tensor": 4}, {}, "'model.n_kv_heads' .2."),
        ({"tensor": 2}, {"skips": True}, "'model.skips'"),
        ({"pipeline": 8}, {}, "fewer than the 8 stages"),
        ({"pipeline": 2}, {"tied": True}, "ties its ends"),
        ({"context": 3}, {}, "'model.context_length'"),
        ({"expert": 2}, {}, "the model has no experts"),
        ({"data": 16}, {}, "fewer rows than the 16 ranks"),
    ],
)
def test_what_a_model_cannot_be_split_along_is_refused_by_its_key(axes, model, told):
    shape = msgspec.structs.replace(cases.MODEL, **model)
    with pytest.raises(UserError, match=told):
        check(cases.parallel(**axes), shape, cases.TRAIN)


def test_every_layout_offered_uses_all_processes_and_is_allowed():
    found = list(layouts(ParallelConfig(), cases.MODEL, cases.TRAIN, 8, 8))
    assert len(found) > 10
    assert len({msgspec.json.encode(one) for one in found}) == len(found)
    for layout in found:
        product = 1
        for axis in AXES:
            product *= getattr(layout, axis)
        assert product == 8
        check(layout, cases.MODEL, cases.TRAIN)


def test_auto_copies_what_fits_shards_what_does_not_and_says_so():
    small = preset("llama-110m")
    layout, why = chosen(ParallelConfig(auto=True), small, TRAIN, 8, 80e9)
    assert layout.data == 8
    assert "auto: the fastest" in why
    train = msgspec.structs.replace(TRAIN, recompute=True)
    layout, _ = chosen(ParallelConfig(auto=True), LLAMA, train, 8, 80e9)
    assert layout.shard * layout.tensor * layout.pipeline > 1
    with pytest.raises(UserError, match=r"None of .* ways .* the nearest needs"):
        chosen(ParallelConfig(auto=True), LLAMA, TRAIN, 8, 8e9)


# torchtitan's published figures: Llama 3.1 8B, bfloat16, compiled, selective recomputation.
PUBLISHED = {8: (6667, 77.0), 128: (6514, 62.0)}  # GPUs -> tokens/s per GPU, GiB


@pytest.mark.parametrize("gpus", PUBLISHED)
def test_the_forecast_is_within_15_percent_of_published_measurements(gpus):
    cluster = Cluster(dataclasses.replace(GPUS["h100"], memory=96e9))
    train = msgspec.structs.replace(TRAIN, batch=2 * gpus)
    step = forecast(LLAMA, train, ParallelConfig(data=1, shard=gpus), cluster, "half")
    speed, memory = PUBLISHED[gpus]
    assert step.tokens_per_second / gpus == pytest.approx(speed, rel=0.15)
    assert step.total_memory / 2**30 == pytest.approx(memory, rel=0.15)


def test_the_forecast_moves_the_way_each_axis_works():
    cluster = Cluster(GPUS["h100"])
    train = msgspec.structs.replace(TRAIN, batch=64, recompute=True)

    def step(**axes):
        return forecast(LLAMA, train, ParallelConfig(**{"data": 1, **axes}), cluster)

    one = step(data=8)
    assert step(shard=8).memory["weights"] == one.memory["weights"] / 8
    assert step(data=8).traffic["data"] > 0
    assert "tensor" in step(tensor=8).traffic
    assert step(pipeline=8).bubble > step(pipeline=2, shard=4).bubble > 0
    twice = msgspec.structs.replace(train, batch=128)
    wide = forecast(LLAMA, twice, ParallelConfig(data=1, pipeline=8), cluster)
    assert wide.bubble < step(pipeline=8).bubble


def test_seven_billion_on_256_gpus_and_seventy_on_1024_are_planned():
    import json

    from click.testing import CliRunner

    from hornbook import cli

    for recipe, gpus in (("cluster-7b", 256), ("cluster-70b", 1024)):
        done = CliRunner().invoke(
            cli.commands, ["plan", recipe, "--gpus", str(gpus), "--json"]
        )
        assert done.exit_code == 0, done.exception
        plan = json.loads(done.output)
        assert plan["fits"]
        assert 0.2 < plan["mfu"] < 0.6
        assert plan["total_memory"] == pytest.approx(sum(plan["memory"].values()))
        assert plan["days"] > 1
        assert plan["dollars"] > 1000
        assert set(plan["traffic"]) <= set(AXES)
