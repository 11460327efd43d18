"""A plan on paper: its parts add up, it agrees with what is measured, it finds what fits."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hornbook.model.presets import preset
from hornbook.model.sizes import flops_per_token, parameters
from hornbook.train.config import TrainConfig
from hornbook.train.hardware import GPUS
from hornbook.train.plan import cost, make_plan, memory, nearest_fit

GPT2 = preset("gpt2-124m")
TRAIN = TrainConfig(steps=1000, batch=48, micro_batch=12)


def test_the_plan_of_gpt2_has_the_known_numbers():
    plan = make_plan(GPT2, msgspec.structs.replace(TRAIN, optimizer="adamw"), half=True)
    assert plan.parameters == 124_439_808
    assert plan.tokens == 1000 * 48 * 1024
    assert plan.flops == pytest.approx(plan.tokens * flops_per_token(GPT2))
    assert plan.memory["optimizer"] == 8 * 124_439_808
    assert plan.checkpoint == 12 * 124_439_808
    assert plan.total_memory == pytest.approx(sum(plan.memory.values()))


def test_muon_keeps_one_number_for_a_matrix_where_adam_keeps_two():
    inside = parameters(GPT2)["attention"] + parameters(GPT2)["feed-forward"]
    muon = memory(GPT2, TRAIN, half=True)["optimizer"]
    assert muon == 4 * (2 * 124_439_808 - inside)


def test_time_energy_and_money_follow_from_the_speed():
    plan, gpu = make_plan(GPT2, TRAIN, half=True), GPUS["h100"]
    found = cost(plan, plan.flops / 7200, gpu, price=0)
    assert found.seconds == pytest.approx(7200)
    assert found.kwh == pytest.approx(2 * gpu.watts / 1000)
    assert found.dollars == pytest.approx(2 * gpu.price)
    assert cost(plan, plan.flops / 7200, gpu, price=10).dollars == pytest.approx(20)
    assert found.tokens_per_second == pytest.approx(plan.tokens / 7200)


def test_what_does_not_fit_gets_the_nearest_change_that_does():
    def needs(train):
        return sum(memory(GPT2, train, half=True).values())

    room = needs(TRAIN)
    assert nearest_fit(GPT2, TRAIN, True, room) == ({}, True)
    changes, fits = nearest_fit(GPT2, TRAIN, True, room * 0.6)
    assert (changes, fits) == ({"micro_batch": 6}, True)
    one_row = needs(msgspec.structs.replace(TRAIN, micro_batch=1))
    changes, fits = nearest_fit(GPT2, TRAIN, True, one_row * 0.97)
    assert fits
    assert changes["micro_batch"] == 1
    assert "logit_chunk" in changes or "recompute" in changes
    assert not nearest_fit(GPT2, TRAIN, True, 1e9)[1]


def test_a_larger_batch_chunks_and_forgetting_change_the_right_parts():
    base = memory(GPT2, TRAIN, half=True)
    for change, part in (
        ({"recompute": True}, "activations"),
        ({"logit_chunk": 512}, "logits"),
    ):
        less = memory(GPT2, msgspec.structs.replace(TRAIN, **change), half=True)
        assert less[part] < 0.5 * base[part]
        assert {k for k in base if less[k] != base[k]} == {part}


MEASURE = """
import sys, msgspec, torch
torch.set_num_threads(1)
from hornbook.model.config import ModelConfig
from hornbook.train.config import TrainConfig
from hornbook.train.plan import make_plan
from hornbook.train.probe import probe
shape = ModelConfig(n_layers=6, d_model=256, n_heads=4, n_kv_heads=4, context_length=256,
                    vocab_size=4096)
train = TrainConfig(steps=10, batch=8, optimizer=sys.argv[1], precision="float32")
found = probe(shape, train, "cpu", 0.1)
print(found.memory / make_plan(shape, train, half=False).total_memory)
"""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_memory_planned_is_about_what_a_process_needs(optimizer):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, optimizer],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert 0.6 < float(done.stdout) < 1.4
