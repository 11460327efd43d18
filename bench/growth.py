"""The whole funnel on more and more documents: does time stay linear, and memory flat?

    python bench/growth.py [--quick]

The documents are some fifty random words each, every twentieth a near copy of the one
before; one .jsonl file of them goes through a recipe (extract, filter, near-duplicates,
split, shards with a byte tokenizer) on all cores. Memory is what the run's processes hold
for themselves at most; files mapped into memory, which the system may drop, don't count.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measure import DATA_STAGES, NO_TRAINING, bar, finish

RECIPE = """
name = "{name}"
[[data.sources]]
kind = "files"
path = "{corpus}"
[data.filters]
min_bytes = 50
[tokenizer]
kind = "byte"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    counts = (1_000, 10_000, 100_000) if options.quick else (10**5, 10**6, 10**7)
    with tempfile.TemporaryDirectory() as name:
        run(Path(name), 100)  # compiles the kernels
        found = {count: run(Path(name), count) for count in counts}
    _, some, many = (found[count] for count in counts)
    slower = many["seconds"] / counts[2] / (some["seconds"] / counts[1])
    grown = (many["memory"] - some["memory"]) / (counts[2] - counts[1])
    bars = [
        bar("time per document, the most beside a tenth of them, x", slower, most=1.25),
        bar("memory per further document, bytes", grown, most=256),
    ]
    finish("growth", options.quick, bars, runs={str(n): f for n, f in found.items()})


def run(folder: Path, count: int) -> dict[str, float]:
    """Curate ``count`` documents: seconds in all and by stage, and the peak of memory."""
    corpus, recipe = folder / f"{count}.jsonl", folder / f"{count}.toml"
    size = write_corpus(corpus, count)
    settings = RECIPE.format(name=f"run{count}", corpus=corpus)
    recipe.write_text(settings + NO_TRAINING)
    command = [
        *(sys.executable, "-m", "hornbook.cli", "run", str(recipe)),
        *("--runs", str(folder), "--until", "shards"),
    ]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL
    )
    peak = Peak(process.pid)
    if process.wait():
        raise SystemExit(f"the run of {count} documents failed")
    manifests = {s: folder / f"run{count}" / s / "manifest.json" for s in DATA_STAGES}
    facts = {s: json.loads(path.read_text()) for s, path in manifests.items()}
    seconds = {s: facts[s]["seconds"] for s in DATA_STAGES}
    corpus.unlink()
    found = {"seconds": sum(seconds.values()), "memory": peak.value, "bytes": size}
    print(f"  {count:,} documents: {found} {seconds}", flush=True)
    return (
        found | {"documents_kept": facts["dedup"]["facts"]["documents_out"]} | seconds
    )


def write_corpus(path: Path, count: int) -> int:
    """Write the documents, the same ones for the same ``count``; returns their bytes."""
    dice = random.Random(1)
    words = [
        "".join(dice.choices("aeilnorst", k=dice.randint(2, 9))) for _ in range(30_000)
    ]
    phrases = [" ".join(dice.choices(words, k=10)) for _ in range(200_000)]
    size, text = 0, ""
    with open(path, "w", encoding="utf-8") as out:
        for number in range(count):
            if number % 20:
                text = " ".join(dice.choices(phrases, k=5))
            else:
                text += " again"
            out.write(f'{{"text": "{text}"}}\n')
            size += len(text)
    return size


class Peak:
    """The most memory that a process and its children hold, looked at now and then."""

    def __init__(self, process: int) -> None:
        self.value = 0
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def _watch(self, process: int) -> None:
        while (used := sum(map(own_memory, family(process)))) > 0:
            self.value = max(self.value, used)
            time.sleep(0.1)


def family(process: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{process}/task/{process}/children")
    found = children.read_text().split() if children.exists() else []
    return [process, *map(int, found)]


def own_memory(process: int) -> int:
    """Bytes that a process holds and no file stands behind; 0 when it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return sum(int(line.split()[1]) * 1024 for line in lines)


if __name__ == "__main__":
    main()
