"""Trainings after pretraining, killed while they save and started again: the same bits."""

import os
import shutil
import signal
import time

import pytest

from hornbook.train.metrics import read_metrics

POST = (
    "sft.lora.rank=2", "sft.lora.dora=true", "sft.neftune=5", "sft.train.checkpoint_every=2",
    "dpo.loss=kto", "dpo.reference=live", "reward.train.steps=6", "reward.train.batch=4",
    "reward.train.optimizer=adamw", "reward.train.learning_rate=1e-3",
    "reward.train.checkpoint_every=2",
)  # fmt: skip
MOMENTS = (
    "sft.partial/step-00000004.partial/model.safetensors",
    "sft.partial/step-00000006",
    "dpo.partial/step-00000004.partial",
    "reward.partial/step-00000002",
    "reward.partial/step-00000004.partial/*",
)


REWARDED = (
    "grpo.reward=parses", "grpo.prompts=2", "grpo.group=3", "grpo.updates=2", "grpo.kl=0.05",
    "grpo.max_tokens=8", "grpo.judged=4", "grpo.train.steps=7", "grpo.train.optimizer=adamw",
    "grpo.train.learning_rate=1e-3", "grpo.train.checkpoint_every=3",
    "reward.train.steps=2", "reward.train.batch=4", "reward.train.optimizer=adamw",
    "ppo.reward=model", "ppo.prompts=4", "ppo.epochs=2", "ppo.minibatches=2",
    "ppo.horizon=20", "ppo.max_tokens=8", "ppo.judged=4", "ppo.train.steps=10",
    "ppo.train.optimizer=adamw", "ppo.train.learning_rate=1e-3", "ppo.train.checkpoint_every=3",
)  # fmt: skip
INSIDE_ROUNDS = (
    "grpo.partial/step-00000003",
    "grpo.partial/step-00000006.partial/*",
    "ppo.partial/step-00000003",
    "ppo.partial/step-00000009.partial/model.safetensors",
)


def finish(start, recipe, runs, sets, until, moments=()):
    """Run the stages up to ``until``, killing them when a path of ``moments`` shows up."""
    options = [part for one in sets for part in ("--set", one)]
    command = ("run", str(recipe), "--runs", str(runs), *options, "--until", until)
    for pattern in moments:
        process = start(*command)
        while not list((runs / "small").glob(pattern)) and process.poll() is None:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process = start(*command)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def assert_same_weights(run, other, stages):
    for stage in stages:
        for path in sorted((run / stage / "model").rglob("*.safetensors")):
            twin = other / path.relative_to(run)
            assert path.read_bytes() == twin.read_bytes(), path


@pytest.mark.slow
def test_killed_and_started_again_it_ends_in_the_same_weights(
    start, small_recipe, small_run, tmp_path
):
    ends = []
    for name, moments in (("whole", ()), ("killed", MOMENTS)):
        shutil.copytree(small_run, tmp_path / name / "small")
        finish(start, small_recipe, tmp_path / name, POST, "reward", moments)
        ends.append(tmp_path / name / "small")
    assert_same_weights(*ends, ("sft", "dpo", "reward"))


def test_learning_from_rewards_goes_on_inside_a_round(
    start, small_recipe, small_run, tmp_path
):
    """Answers, their scores, the price of divergence and the value head come back too."""
    ends = []
    for name, moments in (("whole", ()), ("killed", INSIDE_ROUNDS)):
        shutil.copytree(small_run, tmp_path / name / "small")
        finish(start, small_recipe, tmp_path / name, REWARDED, "ppo", moments)
        ends.append(tmp_path / name / "small")
    assert_same_weights(*ends, ("grpo", "ppo"))
    assert (ends[0] / "ppo/model/value_head.safetensors").exists()
    numbers = [numbers_of(end / "ppo" / "metrics.jsonl") for end in ends]
    assert numbers[0] == numbers[1]


def numbers_of(diary):
    """Every record of a diary without what a clock says, and what the system lent."""
    clocks = ("seconds", "tokens_per_second", "mfu", "memory")
    records = read_metrics(diary)
    return [{k: v for k, v in r.items() if k not in clocks} for r in records]
