"""The whole funnel, raw text to token shards: ours on one core and two, beside datatrove's.

    python bench/funnel.py [--quick] [--peers PYTHON] [--data FOLDER]

The corpus is 400 MB of passages from books (from this machine's Python where there are
none), of which every twentieth comes again with some words changed. Both sides read one
.jsonl file, apply the rules of Gopher, C4 and FineWeb, drop near-duplicates (word 5-grams,
14 x 8) and write token shards with the same tokenizer, which is trained beforehand. Ours is
a recipe in a process of its own that may use one core, or two; its time is the sum of the
stages' seconds. datatrove runs on a part of the corpus: its speed does not depend on the
size, and the whole would take it hours.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measure import DATA, DATA_STAGES, NO_TRAINING, bar, finish

PASSAGE = 3000  # characters
RECIPE = """
[[data.sources]]
kind = "files"
path = "{corpus}"
[data.filters]
preset = "fineweb"
[data.dedup]
bands = 14
rows = 8
[tokenizer]
vocab_size = 8192
max_bytes = 2000000
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "corpus.jsonl"
        size = write_corpus(corpus, options.data, 20e6 if options.quick else 400e6)
        recipe = RECIPE.format(corpus=corpus) + NO_TRAINING
        (folder / "funnel.toml").write_text(recipe)
        run(folder, "warm", 1, "shards")  # kernels are compiled and cached from here on
        one, two = (run(folder, f"on{n}", n, "shards") for n in (1, 2))
        theirs = peer(options.peers, folder, corpus, 4e6, "on1")
    rates = {
        cores: size / 1e6 / sum(seconds.values())
        for cores, seconds in ((1, one), (2, two))
    }
    for cores, rate in rates.items():
        print(f"  hornbook on {cores}: {rate:.1f} MB/s", flush=True)
    bars = [bar("two processes beside one", rates[2] / rates[1], 1.7, unit="x")]
    if theirs:
        print(f"  datatrove: {theirs:.3f} MB/s", flush=True)
        bars.append(
            bar("whole funnel beside datatrove", rates[1] / theirs, 50, unit="x")
        )
    more = {"mb_per_s": {**rates, "datatrove": theirs}, "seconds": {"1": one, "2": two}}
    finish("funnel", options.quick, bars, **more)


def write_corpus(path: Path, data: Path, size: float) -> int:
    """Write passages to ``path`` until they hold ``size`` bytes of text; returns how many."""
    written = number = 0
    with open(path, "w", encoding="utf-8") as out:
        while written < size:
            for text in passages(data, number):
                out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                written += len(text.encode())
                if written >= size:
                    return written
            number += 1
    return written


def passages(data: Path, number: int) -> Iterator[str]:
    """All passages; from the second time on with every fifth word another one."""
    for place, start in enumerate(_passages(data)):
        words = start.split(" ")
        if number:
            words[::5] = [f"{word}{number}" for word in words[::5]]
        yield " ".join(words)
        if place % 20 == 0:
            words[::60] = ["changed"] * len(words[::60])
            yield " ".join(words)


def _passages(data: Path) -> Iterator[str]:
    for text in texts(data):
        at = 0
        while at < len(text):
            end = text.find("\n", at + PASSAGE) + 1 or len(text)
            yield text[at:end]
            at = end


def texts(data: Path) -> Iterator[str]:
    files = sorted((data / "books_en").glob("*.zst"))
    for file in files:
        with zstandard.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]
    if not files:
        for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
            yield path.read_text(errors="replace")


def run(folder: Path, name: str, cores: int, until: str) -> dict[str, float]:
    """Run the recipe on so many cores; the seconds of each stage."""
    command = [
        *(sys.executable, "-m", "hornbook.cli", "run", str(folder / "funnel.toml")),
        *("--runs", str(folder), "--set", f"name={name}", "--until", until),
        *("--set", f"data.workers={cores}"),
    ]
    allowed = set(list(os.sched_getaffinity(0))[:cores])
    subprocess.run(
        command,
        check=True,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    manifests = {s: folder / name / s / "manifest.json" for s in DATA_STAGES}
    seconds = {s: json.loads(p.read_text())["seconds"] for s, p in manifests.items()}
    print(f"  {name}: { ({s: round(v, 2) for s, v in seconds.items()}) }", flush=True)
    return seconds


def peer(
    python: str, folder: Path, corpus: Path, size: float, name: str
) -> float | None:
    """MB/s of datatrove on the corpus's first ``size`` bytes; None where it is missing."""
    part = folder / "part"
    part.mkdir()
    taken = 0
    with open(corpus, encoding="utf-8") as lines, open(part / "part.jsonl", "w") as out:
        for line in lines:
            out.write(line)
            taken += len(json.loads(line)["text"].encode())
            if taken >= size:
                break
    tokenizer = folder / name / "tokenizer" / "tokenizer.json"
    started = time.perf_counter()
    done = subprocess.run(
        [python, Path(__file__).parent / "funnel_peer.py", part, tokenizer],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        print(f"  datatrove: left out ({last[:200]})")
        return None
    found = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  datatrove: {found}, {time.perf_counter() - started:.0f} s in all")
    return taken / 1e6 / found["seconds"]


if __name__ == "__main__":
    main()
