"""Trainings after pretraining, killed while they save and started again: the same bits."""

import os
import shutil
import signal
import time

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


def test_killed_and_started_again_it_ends_in_the_same_weights(
    start, small_recipe, small_run, tmp_path
):
    ends = []
    for name, moments in (("whole", ()), ("killed", MOMENTS)):
        shutil.copytree(small_run, tmp_path / name / "small")
        finish(start, small_recipe, tmp_path / name, POST, "reward", moments)
        ends.append(tmp_path / name / "small")
    assert_same_weights(*ends, ("sft", "dpo", "reward"))
