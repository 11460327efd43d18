"""The whole funnel, raw text to token shards, on one core and on two.

    python bench/funnel.py [--quick] [--megabytes N]

The corpus is one .jsonl file: the standard library over and over, every sixth word changed
each time, so that near-duplicates stay rare and every stage has all of it to do. Extraction,
filters, duplicates, split and encoding by a BPE tokenizer trained before; each run in a
process of its own that may use so many cores. The times are the least of ``--repeats``.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from itertools import islice
from pathlib import Path

HERE = Path(__file__).parent
BAR = 1.7


def write_corpus(path: Path, megabytes: float) -> None:
    """Pieces of source files, words of each changed by chance, as JSON lines."""
    dice = random.Random(0)
    root = Path(sysconfig.get_paths()["stdlib"])
    texts = [
        file.read_text(errors="replace")
        for file in sorted(root.rglob("*.py"))
        if "site-packages" not in file.parts
    ]
    words = sorted({word for word in " ".join(texts).split() if word.isalpha()})
    size = 0
    with open(path, "w", encoding="utf-8") as file:
        while size < megabytes * 1e6:
            for text in texts:
                for start in range(0, len(text), 6000):
                    parts = text[start : start + 6000].split(" ")
                    parts[::6] = dice.choices(words, k=len(parts[::6]))
                    line = json.dumps({"text": " ".join(parts)}) + "\n"
                    size += file.write(line)
                if size >= megabytes * 1e6:
                    break


def train_tokenizer(corpus: Path, out: Path) -> None:
    from hornbook.tokenizer.config import TokenizerConfig
    from hornbook.tokenizer.train import train_tokenizer as train

    with open(corpus, encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, 1000)]
    out.mkdir()
    train(TokenizerConfig(vocab_size=8192), texts).save(out)


def funnel(folder: Path, out: Path, n_cores: int) -> dict[str, float]:
    """Seconds of each stage; runs in a process of its own."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_cores])
    from hornbook.data.config import DataConfig, FilesSource
    from hornbook.data.dedup.stage import dedup
    from hornbook.data.filter.filters import filter_documents
    from hornbook.data.read.extract import extract
    from hornbook.data.shards import write_shards
    from hornbook.data.split import split
    from hornbook.tokenizer.base import load_tokenizer

    source = FilesSource(path=str(folder / "corpus.jsonl"))
    config = DataConfig(sources=(source,), workers=n_cores)
    tokenizer = load_tokenizer(folder / "tokenizer")
    steps = {
        "extract": lambda: extract(config, out / "extract"),
        "filter": lambda: filter_documents(
            config.filters, out / "extract", out / "filter"
        ),
        "dedup": lambda: dedup(config.dedup, out / "filter", out / "dedup"),
        "split": lambda: split(config.split, out / "dedup", out / "split"),
        "shards": lambda: write_shards(
            out / "split" / "train", tokenizer, out / "shards"
        ),
    }
    seconds = {}
    for name, step in steps.items():
        start = time.perf_counter()
        step()
        seconds[name] = time.perf_counter() - start
    return seconds


def measured(folder: Path, n_cores: int, number: int) -> tuple[dict[str, float], str]:
    """Seconds per stage, and a digest of all that came out."""
    out = folder / f"out-{n_cores}-{number}"
    command = [sys.executable, __file__, "--child", str(folder), str(out), str(n_cores)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    digest = hashlib.sha256()
    for file in sorted(path for path in out.rglob("*") if path.is_file()):
        digest.update(file.relative_to(out).as_posix().encode())
        digest.update(file.read_bytes())
        file.unlink()
    return json.loads(done.stdout.splitlines()[-1]), digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--megabytes", type=float, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, out, n_cores = options.child
        print(json.dumps(funnel(Path(folder), Path(out), int(n_cores))))
        return
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("This measurement needs two cores.")
    megabytes = 40 if options.quick else options.megabytes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder / "corpus.jsonl", megabytes)
        train_tokenizer(folder / "corpus.jsonl", folder / "tokenizer")
        report(
            folder, megabytes, 1 if options.quick else options.repeats, options.quick
        )


def report(folder: Path, megabytes: float, repeats: int, quick: bool) -> None:
    from hornbook.core.files import write_json
    from hornbook.pipeline import versions

    measured(folder, 2, 0)  # compiles what is not compiled yet
    found = {
        n: [measured(folder, n, number) for number in range(repeats)] for n in (1, 2)
    }
    best = {
        n: min((seconds for seconds, _ in runs), key=lambda s: sum(s.values()))
        for n, runs in found.items()
    }
    total = {n: sum(best[n].values()) for n in best}
    for n, seconds in best.items():
        stages = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
        print(f"  {n} core(s): {megabytes / total[n]:.1f} MB/s ({stages} s)")
    same = len({digest for runs in found.values() for _, digest in runs}) == 1
    faster = total[1] / total[2]
    result = {
        "bench": "funnel",
        "bars": [
            {"what": "raw text to shards on one core, MB/s", "value": megabytes / total[1],
             "bar": "", "holds": True},
            {"what": "two processes, times one", "value": faster, "bar": f">= {BAR}",
             "holds": faster >= BAR},
            {"what": "the same bytes from one and from two", "value": same, "bar": "true",
             "holds": same},
        ],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{megabytes:g} MB",
        "versions": versions(),
    }  # fmt: skip
    if not quick:
        write_json(HERE / "results" / "funnel.json", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
