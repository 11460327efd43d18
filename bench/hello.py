"""The recipes a newcomer meets first: how long they take and how good the result is.

    python bench/hello.py [--quick] [--text FILE] [--only hello|shakespeare] [--keep DIR]

`hello` is measured beside xz, zstd and an n-gram model on the same held-out bytes;
`shakespeare` needs FILE (or HORNBOOK_TEST_DATA) and is left out without it. The runs are
thrown away unless DIR is named.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hornbook.core.files import write_json  # noqa: E402
from hornbook.gather import processor  # noqa: E402
from hornbook.pipeline import versions  # noqa: E402

RECIPES = ("hello", "shakespeare")
QUICK = ("--set", "pretrain.steps=4", "--set", "evaluate.functions=4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a few steps, under a minute"
    )
    parser.add_argument("--text", type=Path, default=shakespeare_file())
    parser.add_argument("--only", choices=RECIPES)
    parser.add_argument("--keep", type=Path, help="put the runs here, and leave them")
    options = parser.parse_args()
    path = (
        ROOT
        / "bench"
        / "results"
        / ("hello-quick.json" if options.quick else "hello.json")
    )
    earlier = json.loads(path.read_text()) if path.exists() and options.only else {}
    measured = {name: earlier[name] for name in RECIPES if name in earlier}
    for name in (options.only,) if options.only else RECIPES:
        if name == "hello":
            measured[name] = hello(options.keep, options.quick)
        elif options.text and options.text.exists():
            measured[name] = shakespeare(options.text, options.keep, options.quick)
    result = {
        "bench": "hello",
        "bars": bars(measured),
        **measured,
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "versions": versions(),
    }
    write_json(path, result)
    print(json.dumps(result))


def shakespeare_file() -> Path | None:
    data = Path(os.environ.get("HORNBOOK_TEST_DATA", ROOT.parent / "shared" / "data"))
    path = data / "tinyshakespeare" / "input.txt"
    return path if path.exists() else None


def hello(keep: Path | None, quick: bool) -> dict[str, Any]:
    seconds, report = run("hello", keep, *(QUICK if quick else ()))
    evals = {(e["task"], e["metric"]): e for e in report["evals"]}
    return {
        "seconds": seconds,
        "stage_seconds": {s["name"]: s["seconds"] for s in report["stages"]},
        "parameters": sum(report["model"]["parameters"].values()),
        "tokens": report["training"]["tokens"],
        "bits_per_byte": evals["held-out text", "bits per byte"]["value"],
        "compared_with": evals["held-out text", "bits per byte"]["baselines"],
        "results": report["evals"],
    }


def shakespeare(text: Path, keep: Path | None, quick: bool) -> dict[str, Any]:
    source = ("--set", f"data.sources.0.path={text}")
    seconds, report = run("shakespeare", keep, *source, *(QUICK[:2] if quick else ()))
    validation = report["series"]["pretrain/validation"]["pts"][-1][1]
    stages = {s["name"]: s["seconds"] for s in report["stages"]}
    return {
        "seconds": seconds,
        "pretrain_seconds": stages["pretrain"],
        "parameters": sum(report["model"]["parameters"].values()),
        "validation_nats_per_char": validation,
    }


def run(
    recipe: str, keep: Path | None, *arguments: str
) -> tuple[float, dict[str, Any]]:
    """A recipe from nothing in a process of its own; returns seconds and its report."""
    with tempfile.TemporaryDirectory() as scratch:
        runs = keep or Path(scratch)
        if (runs / recipe).exists():
            sys.exit(f"{runs / recipe} exists; a run is measured from nothing.")
        # A cold compiler cache: what a newcomer's first run would find.
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": f"{scratch}/inductor"}
        command = [
            sys.executable,
            "-m",
            "hornbook.cli",
            "run",
            recipe,
            "--runs",
            str(runs),
        ]
        started = time.perf_counter()
        subprocess.run([*command, *arguments], check=True, cwd=ROOT, env=environment)
        seconds = time.perf_counter() - started
        return seconds, json.loads((runs / recipe / "report.json").read_text())


def bars(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """What was promised, and whether it holds."""
    found = []
    if "hello" in measured:
        known = measured["hello"]
        found += [
            bar("hello: seconds, all stages", known["seconds"], 900),
            bar("hello: bits per byte, held-out files", known["bits_per_byte"], 1.50),
        ]
    if "shakespeare" in measured:
        known = measured["shakespeare"]
        found += [
            bar("shakespeare: seconds, all stages", known["seconds"], 120),
            bar(
                "shakespeare: nats per character",
                known["validation_nats_per_char"],
                1.65,
            ),
        ]
    return found


def bar(what: str, value: float, at_most: float) -> dict[str, Any]:
    return {
        "what": what,
        "value": value,
        "bar": f"<= {at_most}",
        "holds": value <= at_most,
    }


if __name__ == "__main__":
    main()
