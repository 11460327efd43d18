"""The sbatch script on a real Slurm of two nodes: stopped, killed, requeued, finished."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from hornbook import cli
from hornbook.train.metrics import read_metrics
from tests.conftest import ROOT
from tests.launch.real_slurm import ask, missing, slurm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
]


def losses(runs: Path) -> dict[int, float]:
    for stage in ("pretrain", "pretrain.partial"):
        path = runs / "small" / stage / "metrics.jsonl"
        if path.exists():
            return {r["step"]: r["loss"] for r in read_metrics(path) if "loss" in r}
    return {}


def wait_for(what, seconds=240):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def state(environment, job: str) -> dict[str, str]:
    words = ask(environment, "scontrol", "show", "job", job).split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def started_again(environment, job: str, times: int) -> bool:
    """Whether the job runs for the so-manieth time; a requeued one needn't wait its turn."""
    now = state(environment, job)
    delayed = now["JobState"] == "PENDING" and now["Reason"] == "BeginTime"
    if delayed and int(now["Restarts"]) == times:
        ask(environment, "scontrol", "update", f"job={job}", "StartTime=now")
    return now["JobState"] == "RUNNING" and int(now["Restarts"]) == times


def workers(runs: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        is_python = words[0].endswith(b"python") and b"hornbook.cli" in words
        if is_python and str(runs).encode() in words:
            found.append(int(path.parent.name))
    return sorted(found)


def test_a_job_told_to_stop_and_then_killed_ends_with_the_losses_of_one_left_alone(
    small_recipe, tmp_path
):
    runs = tmp_path / "runs"
    options = (
        *("pretrain.steps=60", "pretrain.precision=float32"),
        *("pretrain.optimizer=adamw", "pretrain.learning_rate=1e-3"),
    )
    sets = [part for key in options for part in ("--set", key)]
    made = CliRunner().invoke(
        cli.commands,
        [
            *("launch", str(small_recipe), "--on", "slurm", "--nodes", "2"),
            *("--gpus-per-node", "1", "--cpu", "--out", str(tmp_path / "launch")),
            *("--runs", str(runs), "--python", sys.executable),
            *("--until", "pretrain", *sets),
        ],
    )
    assert made.exit_code == 0, made.exception
    script = tmp_path / "launch" / "small.train.sbatch"
    with slurm(tmp_path / "slurm") as environment:
        environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        log = tmp_path / "log"
        job = ask(
            environment,
            *("sbatch", "--parsable", f"--output={log}", f"--chdir={ROOT}"),
            str(script),
        ).strip()
        wait_for(lambda: max(losses(runs), default=0) >= 7)
        ask(environment, "scancel", "--signal=USR1", job)
        wait_for(lambda: started_again(environment, job, 1))
        assert "asked to stop" in log.read_text()
        step = max(losses(runs))
        wait_for(lambda: max(losses(runs)) >= step + 7)
        os.kill(workers(runs)[-1], signal.SIGKILL)
        wait_for(lambda: started_again(environment, job, 2))
        wait_for(lambda: state(environment, job)["JobState"] == "COMPLETED")
        told = log.read_text()
    assert "2 processes: data 2" in told
    assert "ended with status 75; back into the queue" in told
    assert told.count("back into the queue") == 2
    alone = CliRunner().invoke(
        cli.commands,
        [
            *("run", str(small_recipe), "--runs", str(tmp_path / "alone"), *sets),
            *("--until", "pretrain"),
        ],
    )
    assert alone.exit_code == 0, alone.exception
    expected = losses(tmp_path / "alone")
    assert losses(runs) == pytest.approx(expected, rel=1e-3)
    assert list(losses(runs)) == list(range(1, 61))
