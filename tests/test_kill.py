"""A run killed at any moment and started again ends as if it had never been killed."""

import os
import random
import signal
import time
from pathlib import Path

WEIGHTS = [f"{stage}/model/model.safetensors" for stage in ("pretrain", "sft", "dpo")]


def kill(process) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(run: Path, pattern: str, process) -> None:
    """Until a path that matches shows up (or the process has ended)."""
    while not list(run.glob(pattern)) and process.poll() is None:
        time.sleep(0.002)


def test_killed_in_the_middle_of_saving_and_at_random_moments(
    start, small_recipe, small_run, tmp_path
):
    """The moments: while a checkpoint is half-written, and then at random ones."""
    runs = tmp_path / "runs"
    run = runs / "small"
    arguments = ("run", str(small_recipe), "--runs", str(runs))
    for pattern in (
        "tokenizer.partial/*",
        "pretrain.partial/step-*.partial",
        "pretrain.partial/step-00000015",
        "sft.partial/step-*.partial/model.safetensors",
        "dpo.partial/step-00000004.partial",
    ):
        process = start(*arguments)
        wait_for(run, pattern, process)
        kill(process)
    moments = random.Random(os.getpid())
    for _ in range(2):
        process = start(*arguments)
        time.sleep(moments.uniform(1.0, 6.0))
        kill(process)
    process = start(*arguments)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    for name in WEIGHTS:
        assert (run / name).read_bytes() == (small_run / name).read_bytes(), name
    for array in (small_run / "shards").rglob("*.npy"):
        ours = run / array.relative_to(small_run)
        assert ours.read_bytes() == array.read_bytes(), ours


def test_ctrl_c_stops_with_one_sentence_and_the_same_command_goes_on(
    start, small_recipe, tmp_path
):
    """Twice, so that the second attempt is one that goes on from where the first stopped."""
    runs = tmp_path / "runs"
    long = ("--set", "pretrain.steps=3000", "--until", "pretrain")
    outputs = []
    for _ in range(2):
        partial = runs / "small" / "pretrain.partial"
        known = set(partial.glob("step-*0"))
        process = start("run", str(small_recipe), "--runs", str(runs), *long)
        while set(partial.glob("step-*0")) <= known and process.poll() is None:
            time.sleep(0.01)  # until it has saved something new
        os.kill(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=120)
        outputs.append(out)
        assert process.returncode == 130
        assert error.strip().splitlines()[-1].startswith("Stopped.")
        assert "Traceback" not in error
    assert "was cut off, goes on" in outputs[1]
