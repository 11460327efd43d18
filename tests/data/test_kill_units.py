"""Killed while it curates, a run goes on at the next unit, and nothing shows in the result."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hornbook.pipeline import read_manifest

ROOT = Path(__file__).parent.parent.parent
STAGES = (
    *("extract", "filter", "dedup", "classify", "decontaminate"),
    *("split", "shards"),
)
# Small units, and other processes however little there is to do.
CHILD = """
import sys
from hornbook.data import units
from hornbook.data.read import extract
from hornbook.recipe import load
from hornbook.run import run_recipe
if __name__ == "__main__":
    extract.UNIT_BYTES, extract.MANY_BYTES, units.UNIT_BYTES = 30_000, 0, 30_000
    file, runs, workers = sys.argv[1:]
    recipe = load(file, [f"data.workers={workers}"])
    run_recipe(recipe, __import__("pathlib").Path(runs), "cpu", "shards")
"""
RECIPE = """
name = "mine"
[[data.sources]]
kind = "files"
path = {path}
include = ["*.txt", "*.jsonl", "*.zst", "*.parquet", "*.png"]
[data.filters]
min_bytes = 300
[data.dedup]
lines = true
min_repeat = 20
[[data.classify]]
model = "toxicity"
max_score = 0.5
[data.decontaminate]
benchmarks = [{benchmark}]
[data.split]
holdout = 0.2
[tokenizer]
kind = "byte"
[model]
n_layers = 1
d_model = 32
n_heads = 2
n_kv_heads = 1
context_length = 32
[pretrain]
steps = 1
batch = 1
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A recipe over files of all kinds that are cut into parts, and some that are broken."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    folder = tmp_path_factory.mktemp("texts")
    dice = random.Random(7)

    def text(words: int) -> str:
        return " ".join(
            "".join(dice.choices("aeinorstü", k=dice.randint(2, 8)))
            for _ in range(words)
        )

    def lines(count: int) -> str:
        return "".join(
            json.dumps({"text": text(dice.randint(5, 300))}, ensure_ascii=False) + "\n"
            for _ in range(count)
        )

    (folder / "large.jsonl").write_text(lines(400) + "{broken\n" + lines(100))
    packed = zstandard.compress(lines(300).encode())
    (folder / "packed.jsonl.zst").write_bytes(packed)
    (folder / "cut.jsonl.zst").write_bytes(packed[: len(packed) // 2])
    column = pa.table({"text": [text(100) for _ in range(500)]})
    pq.write_table(column, folder / "rows.parquet", row_group_size=40)
    for number in range(60):
        (folder / f"{number}.txt").write_text(text(200))
    (folder / "stray.png").write_bytes(b"\x89PNG\0")
    file = folder.parent / "mine.toml"
    benchmark = folder.parent / "benchmark.jsonl"
    benchmark.write_text(json.dumps({"text": text(40)}))
    places = {"path": folder, "benchmark": benchmark}
    file.write_text(RECIPE.format(**{n: json.dumps(str(p)) for n, p in places.items()}))
    return file


def start(recipe: Path, runs: Path, workers: int) -> subprocess.Popen:
    script = recipe.parent / "child.py"
    script.write_text(CHILD)
    return subprocess.Popen(
        [sys.executable, str(script), str(recipe), str(runs), str(workers)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> None:
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def result(run: Path) -> dict[str, object]:
    """The SHA-256 of every file that the stages published, and what they counted."""
    found: dict[str, object] = {}
    for stage in STAGES:
        found[stage] = read_manifest(run, stage)["facts"]  # type: ignore[index]
        for file in sorted((run / stage).rglob("*")):
            if file.is_file() and file.name != "manifest.json":
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                found[str(file.relative_to(run))] = digest
    return found


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory) -> dict[str, object]:
    """The result of one worker that was never killed."""
    runs = tmp_path_factory.mktemp("whole")
    finish(start(recipe, runs, 1))
    found = result(runs / "mine")
    assert len([name for name in found if name.startswith("extract/doc")]) > 20
    assert len([name for name in found if name.startswith("filter/doc")]) > 20
    assert found["extract"]["skipped_count"] == {  # type: ignore[index]
        "binary": 1,
        "damaged file": 1,
        "not valid JSON": 1,
    }
    return found


def kill_when(process: subprocess.Popen, run: Path, path: str) -> None:
    """SIGKILL the run and all its processes as soon as a file exists."""
    while not (run / path).exists() and process.poll() is None:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_killed_between_units_and_at_random_moments(recipe, whole, tmp_path, workers):
    run = tmp_path / "mine"
    dice = random.Random(os.getpid())
    seen = set()
    for path in (
        f"extract.partial/units/{dice.randint(1, 12):06d}.json",
        f"extract.partial/units/{dice.randint(13, 25):06d}.json",
        f"filter.partial/units/{dice.randint(1, 20):06d}.json",
        f"dedup.partial/scratch/signed/units/{dice.randint(1, 15):06d}.json",
        f"dedup.partial/units/{dice.randint(1, 15):06d}.json",
        f"classify.partial/units/{dice.randint(1, 10):06d}.json",
        f"decontaminate.partial/units/{dice.randint(1, 10):06d}.json",
        "shards.partial/train/units/progress.json",
    ):
        process = start(recipe, tmp_path, workers)
        kill_when(process, run, path)
        seen |= {file.name for file in run.glob("*.partial")}
    assert {"extract.partial", "filter.partial", "dedup.partial"} <= seen
    process = start(recipe, tmp_path, workers)
    time.sleep(dice.uniform(0.5, 3))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finish(start(recipe, tmp_path, workers))
    assert result(run) == whole


def test_what_was_finished_is_not_done_again(recipe, whole, tmp_path):
    """The files of finished units are those of the first attempt, by their inodes."""
    run = tmp_path / "mine"
    process = start(recipe, tmp_path, 2)
    kill_when(process, run, "extract.partial/units/000010.json")
    units = [file.stem for file in run.glob("extract.partial/units/0*.json")]
    assert len(units) >= 10
    names = [f"documents-{unit}.parquet" for unit in units]
    before = {name: (run / "extract.partial" / name).stat().st_ino for name in names}
    finish(start(recipe, tmp_path, 2))
    after = {name: (run / "extract" / name).stat().st_ino for name in names}
    assert before == after
    assert result(run) == whole


def test_only_the_parent_killed_its_workers_end_too(recipe, tmp_path):
    process = start(recipe, tmp_path, 2)
    run = tmp_path / "mine"
    while not list(run.glob("extract.partial/units/0*.json")):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)  # anyone left in its group?
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("worker processes outlive their parent")
    shutil.rmtree(run)
