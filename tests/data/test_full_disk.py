"""A disk that fills up: one sentence, no trace, and with room the run goes on."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# The command line, with units small enough for several to fit and other processes.
CHILD = """
import sys
from hornbook.data import units
from hornbook.data.read import extract
if __name__ == "__main__":
    extract.UNIT_BYTES, units.UNIT_BYTES = 60_000, 60_000
    extract.MANY_BYTES = 0 if sys.argv.pop(1) == "2" else 1 << 60
    from hornbook.cli import main
    main()
"""
RECIPE = """
name = "mine"
[[data.sources]]
kind = "files"
path = {path}
[data]
workers = 2
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


@pytest.fixture
def disk(tmp_path):
    """``disk(kilobytes)``: a folder on a disk of its own of that size; again: it grows."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def size(kilobytes: int) -> Path:
        nonlocal mounted
        options = f"{'remount,' if mounted else ''}size={kilobytes}k"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small disk needs rights that this user lacks")
        mounted = True
        return place

    yield size
    if mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def run(tmp_path: Path, runs: Path, processes: int) -> tuple[int, str]:
    """Exit status and stderr of the run up to its shards."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    done = subprocess.run(
        [sys.executable, str(script), str(processes), "run", str(tmp_path / "mine.toml"),
         "--runs", str(runs), "--until", "shards"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def files(run: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(run)): file.read_bytes()
        for stage in ("extract", "filter", "dedup", "split", "shards")
        for file in (run / stage).rglob("*")
        if file.is_file() and file.name != "manifest.json"
    }


@pytest.mark.parametrize("processes", [1, 2])
def test_the_run_ends_in_one_sentence_and_goes_on_with_room(tmp_path, disk, processes):
    dice = random.Random(3)
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(400):
        words = ("".join(dice.choices("aeinorst", k=6)) for _ in range(300))
        (folder / f"{number}.txt").write_text(" ".join(words))
    (tmp_path / "mine.toml").write_text(RECIPE.format(path=json.dumps(str(folder))))
    status, error = run(tmp_path, tmp_path / "roomy", processes)
    assert status == 0, error
    for kilobytes in (300, 700, 1500, 2500, 4000, 20_000):
        place = disk(kilobytes)
        status, error = run(tmp_path, place, processes)
        if status == 0:
            break
        assert status == 1
        assert "The disk is full" in error, (kilobytes, error)
        assert "Traceback" not in error, error
        assert "Exception ignored" not in error, error
    assert kilobytes >= 1500  # it did fill up more than once
    assert files(place / "mine") == files(tmp_path / "roomy" / "mine")
