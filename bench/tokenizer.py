"""The tokenizer beside its peers, in one process: training, encoding, decoding, start-up.

    python bench/tokenizer.py [--quick] [--threads 1 2] [--only PART ...] [--data FOLDER]

Parts are start, memory, train, prose, code and multi; with --only the others keep the
figures they have in bench/results/tokenizer.json. Text comes from HORNBOOK_TEST_DATA (books,
code of the installed packages, many languages).
Peers that are not installed are left out and listed. Times are the best of some rounds:
processor time for one thread (so that other work on the machine doesn't count), clock time
for more.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
PEERS = ("tiktoken", "tokenizers", "rustbpe", "gigatoken", "fastokens", "sentencepiece")
PARTS = ("start", "memory", "train", "prose", "code", "multi")
RESULT = Path(__file__).parent / "results" / "tokenizer.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is None:
        return report(
            [in_own_process(options, threads) for threads in options.threads], options
        )
    # Peers read these when they are imported, so each number of threads has its process.
    for name in ("RAYON_NUM_THREADS", "RAYON_RS_NUM_THREADS"):
        os.environ[name] = str(options.one)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if options.one > 1 else "false"
    from tokenizer_cases import measure

    found = measure(options.one, options.quick, options.data, options.only)
    print(json.dumps(found))
    return None


def in_own_process(options: argparse.Namespace, threads: int) -> dict[str, float]:
    import subprocess

    command = [sys.executable, __file__, "--one", str(threads), "--only", *options.only]
    command += ["--quick"] if options.quick else []
    command += ["--data", str(options.data)] if options.data else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


Bar = tuple[str, Callable[[dict[str, float]], float], float]


def ratio(
    ours: str, theirs: str, inverse: bool = False
) -> Callable[[dict[str, float]], float]:
    return lambda m: m[theirs] / m[ours] if inverse else m[ours] / m[theirs]


def bars(threads: int) -> list[Bar]:
    if threads > 1:
        return [
            (
                f"encode documents, {threads} threads over 1, {text}",
                ratio(
                    f"{text} many ours {threads} warm",
                    f"{text} many ours 1 beside {threads} warm",
                ),
                1.6,
            )
            for text in ("prose", "code", "multi")
        ]
    found: list[Bar] = [
        (f"train faster than {peer}", ratio("train ours", f"train {peer}", True), bar)
        for peer, bar in (("tokenizers", 20), ("rustbpe", 9), ("gigatoken", 6))
    ]
    for text, cold, warm, giga in (
        ("prose", 15, 22, 0.9),
        ("code", 15, 22, 1.0),
        ("multi", 4, 10, 1.0),
    ):
        ours = f"{text} one ours"
        found += [
            (
                f"{ours} cold / tiktoken",
                ratio(f"{ours} cold", f"{text} one tiktoken cold"),
                cold,
            ),
            (
                f"{ours} warm / tiktoken",
                ratio(f"{ours} warm", f"{text} one tiktoken warm"),
                warm,
            ),
        ]
        found += [
            (
                f"{ours} {t} / {peer}",
                ratio(f"{ours} {t}", f"{text} one {peer} {t}"),
                giga,
            )
            for t in ("cold", "warm")
            for peer in ("gigatoken", "fastokens")
        ]
        found.append(
            (
                f"{text} decode / tiktoken",
                ratio(f"{text} decode ours warm", f"{text} decode tiktoken warm"),
                2,
            )
        )
    same = "train, share of merges as rustbpe's"
    return [*found, (same, lambda m: m[same], 1.0)]


def below(m: dict[str, float]) -> list[dict[str, Any]]:
    limits = {
        "13-byte call, microseconds": 2.0,
        "compile, empty cache, encoder, seconds": 6.0,
        "compile, empty cache, trainer, seconds": 6.0,
        "compile, empty cache, trainer and encoder, seconds": 6.0,
        "compile, cached, encoder, seconds": 0.3,
        "compile, cached, trainer and encoder, seconds": 0.3,
        "small text, empty cache, seconds": 0.1,
        "train, MB beyond the text": 350,
    }
    return [
        {"what": what, "value": round(m[what], 3), "bar": bar, "holds": m[what] <= bar}
        for what, bar in limits.items()
        if what in m
    ]


def report(results: list[dict[str, float]], options: argparse.Namespace) -> None:
    whole = set(options.only) == set(PARTS)
    everything = {} if options.quick or whole else earlier()
    for result in results:
        everything |= result
    found = below(everything)
    for threads in (1, 2):
        for what, value_of, bar in bars(threads):
            try:
                value = value_of(everything)
            except KeyError:
                continue
            found.append(
                {
                    "what": what,
                    "value": round(value, 2),
                    "bar": bar,
                    "holds": value >= bar,
                }
            )
    for name, value in everything.items():
        print(f"{name:48} {value:10.2f}")
    result = {
        "bench": "tokenizer",
        "bars": found,
        "measured": {name: round(value, 3) for name, value in everything.items()},
        "quick": options.quick,
        "missing": [name for name in PEERS if not version(name)],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {name: version(name) for name in ("numba", "numpy", *PEERS)},
    }
    RESULT.parent.mkdir(exist_ok=True)
    if not options.quick or not RESULT.exists():
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(
        json.dumps({key: value for key, value in result.items() if key != "measured"})
    )


def earlier() -> dict[str, float]:
    """What the parts that are not measured now gave last time, in full."""
    if not RESULT.exists():
        return {}
    result = json.loads(RESULT.read_text())
    return {} if result["quick"] else result["measured"]


def version(name: str) -> str:
    try:
        return importlib.import_module("importlib.metadata").version(name)
    except importlib.import_module("importlib.metadata").PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
