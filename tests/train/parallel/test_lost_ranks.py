"""Ranks that are killed, hang, or are asked to stop: nothing is lost, and it is said."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch.distributed as dist

from hornbook.core.errors import UserError
from hornbook.train.metrics import read_metrics
from tests.conftest import ROOT, start_command
from tests.train.parallel.spawn import spawn

SETTINGS = (
    *("pretrain.steps=40", "pretrain.precision=float32"),
    *("pretrain.optimizer=adamw", "pretrain.learning_rate=1e-3"),
)
STEPS = tuple(part for setting in SETTINGS for part in ("--set", setting))


def torchrun(*arguments: str, processes: int = 2, restarts: int = 0):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(processes), "--max-restarts", str(restarts)),
            *("--monitor-interval", "0.2", "--shutdown-timeout", "60"),
            *("-m", "hornbook.cli", "run", *arguments, *STEPS, "--until", "pretrain"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def diary(runs: Path) -> list[dict]:
    for stage in ("pretrain", "pretrain.partial"):
        path = runs / "small" / stage / "metrics.jsonl"
        if path.exists():
            return [r for r in read_metrics(path) if "loss" in r]
    return []


def wait_for_step(process, runs: Path, step: int) -> None:
    end = time.monotonic() + 300
    while not any(r["step"] >= step for r in diary(runs)):
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < end
        time.sleep(0.02)


def workers(agent: int) -> list[int]:
    children = Path(f"/proc/{agent}/task/{agent}/children")
    found = [int(pid) for pid in children.read_text().split()]
    return [
        pid
        for pid in found
        if b"hornbook.cli" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


@pytest.fixture(scope="module")
def prepared(small_recipe, tmp_path_factory) -> Path:
    """The data stages, done once."""
    runs = tmp_path_factory.mktemp("prepared")
    process = start_command(
        "run", str(small_recipe), "--runs", str(runs), "--until", "shards"
    )
    _out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    return runs


def copied(prepared: Path, to: Path) -> Path:
    import shutil

    shutil.copytree(prepared, to)
    return to


@pytest.fixture(scope="module")
def undisturbed(prepared, small_recipe, tmp_path_factory) -> list[dict]:
    """Two ranks, left alone."""
    runs = copied(prepared, tmp_path_factory.mktemp("whole") / "runs")
    process = torchrun(str(small_recipe), "--runs", str(runs))
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out[-3000:]
    assert (runs / "small" / "pretrain" / "model" / "config.json").exists()
    assert (
        "validation_loss"
        in read_metrics(runs / "small" / "pretrain" / "metrics.jsonl")[-1]
    )
    return diary(runs)


pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")


def test_a_killed_rank_comes_back_and_ends_with_the_losses_of_a_run_left_alone(
    prepared, undisturbed, small_recipe, tmp_path
):
    runs = copied(prepared, tmp_path / "runs")
    process = torchrun(str(small_recipe), "--runs", str(runs), restarts=1)
    wait_for_step(process, runs, 12)
    os.kill(workers(process.pid)[1], signal.SIGKILL)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out[-3000:]
    assert "lost the other ranks" in out or "Signal 9" in out or "SIGKILL" in out
    found = diary(runs)
    assert [r["step"] for r in found] == list(range(1, 41))
    assert [r["loss"] for r in found] == [r["loss"] for r in undisturbed]


def test_without_restarts_it_ends_with_a_sentence_and_one_process_goes_on(
    prepared, undisturbed, small_recipe, tmp_path
):
    """Elastic: two ranks became one."""
    runs = copied(prepared, tmp_path / "runs")
    process = torchrun(str(small_recipe), "--runs", str(runs))
    wait_for_step(process, runs, 12)
    os.kill(workers(process.pid)[1], signal.SIGKILL)
    out, _ = process.communicate(timeout=600)
    assert process.returncode != 0
    told = " ".join(out.split())
    assert "lost the other ranks" in told, out[-3000:]
    assert "the same command goes on from step-000000" in told
    records = runs / "small" / "pretrain.partial" / "flight-recorder" / "rank-0.json"
    assert json.loads(records.read_text())["entries"]
    alone = start_command(
        *("run", str(small_recipe), "--runs", str(runs), "--until", "pretrain", *STEPS)
    )
    _, error = alone.communicate(timeout=600)
    assert alone.returncode == 0, error
    assert [r["loss"] for r in diary(runs)] == pytest.approx(
        [r["loss"] for r in undisturbed], rel=1e-3
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_asked_to_stop_it_finishes_the_step_saves_and_says_start_me_again(
    prepared, undisturbed, small_recipe, tmp_path, name
):
    runs = copied(prepared, tmp_path / "runs")
    asked = ("run", str(small_recipe), "--runs", str(runs), "--until", "pretrain")
    process = start_command(*asked, *STEPS)
    wait_for_step(process, runs, 7)
    os.kill(process.pid, getattr(signal, name))
    _, error = process.communicate(timeout=600)
    assert process.returncode == 75, error
    assert "saved after step" in error
    again = start_command(*asked, *STEPS)
    _, error = again.communicate(timeout=600)
    assert again.returncode == 0, error
    assert [r["loss"] for r in diary(runs)] == pytest.approx(
        [r["loss"] for r in undisturbed], rel=1e-3
    )


def _hang_together(rank, folder):
    """Both make the group; one then stays away."""
    import datetime

    import torch

    from hornbook.train.parallel.lost import explained

    quick = dist.new_group(timeout=datetime.timedelta(seconds=2))
    if rank == 1:
        time.sleep(6)
        return ""
    try:
        with explained(Path(folder), rank):
            dist.all_reduce(torch.ones(3), group=quick)
    except UserError as error:
        return str(error)
    return "nothing happened"


def test_a_rank_that_hangs_is_noticed_and_the_collectives_are_kept(tmp_path):
    told = spawn(_hang_together, 2, str(tmp_path))[0]
    assert "Rank 0" in told
    assert "hung" in told
    record = json.loads((tmp_path / "flight-recorder" / "rank-0.json").read_text())
    assert any("all_reduce" in entry["profiling_name"] for entry in record["entries"])
    assert (
        "all_reduce" in (tmp_path / "flight-recorder" / "rank-0.stacks.txt").read_text()
    )
