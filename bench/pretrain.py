"""Pretraining beside nanoGPT, on the same data, split and machine.

    python bench/pretrain.py --nanogpt CHECKOUT [--quick] [--only PART ...] [--seeds 3]

Parts: shakespeare (time to the loss nanoGPT's CPU recipe ends on), best (its A100 loss on
this CPU), speed (tokens per second and memory, same GPT-2 shape and batch), bpe (a byte-pair
corpus, ~10 M parameters). Every time counts from the start of a process that finds its data
tokenized, compilation with a cold cache included. Losses are over the whole validation set.
With a GPU, `speed` runs GPT-2's 124 M on it and gives MFU too.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from bench.measure import RESULTS, bar, finish  # noqa: E402
from bench.pretrain_peer import NanoGPT  # noqa: E402
from hornbook.train.metrics import read_metrics  # noqa: E402

DATA = Path(os.environ.get("HORNBOOK_TEST_DATA", ROOT.parent / "shared" / "data"))
README_LOSS = 1.88  # what nanoGPT's README says its CPU recipe ends on
A100_LOSS = 1.4697  # and its recipe for three minutes of an A100

TAIL = ("data.clean.fix_mojibake=false", "data.clean.normalize=false")
SMALL = (  # to 1.88 and no further
    *("model.n_layers=4", "model.d_model=128", "model.n_heads=2", "model.n_kv_heads=2"),
    *("model.context_length=64", "pretrain.batch=24", "pretrain.steps=180"),
    *("pretrain.schedule=wsd", "pretrain.decay=0.6"),
    *("pretrain.validate_every=180", "pretrain.checkpoint_every=0"),
)
LARGE = (  # the loss of 10.7 M parameters and an A100 with 3.2 M and two cores
    *("model.n_layers=4", "model.d_model=256", "model.n_heads=4", "model.n_kv_heads=4"),
    *("model.context_length=256", "model.logit_cap=15.0", "pretrain.batch=24"),
    *("pretrain.steps=620", "pretrain.compile=no", "pretrain.schedule=wsd"),
    *("pretrain.decay=0.5", "pretrain.warmup=0.01", "pretrain.final=0.02"),
    *("pretrain.validate_every=310", "pretrain.checkpoint_every=310"),
)
BPE = (  # nanoGPT's size: 5 layers of 384, 4096 tokens
    *("model.n_layers=5", "model.d_model=384", "model.n_heads=6", "model.n_kv_heads=6"),
    *("model.context_length=256", "model.mlp=relu2", "model.tied=true"),
    *("pretrain.batch=12", "pretrain.schedule=wsd", "pretrain.decay=0.5"),
    *("pretrain.embedding_rate=0.003", "pretrain.head_rate=0.002"),
    *("pretrain.warmup=0.02", "pretrain.final=0.05", "pretrain.checkpoint_every=0"),
)


class Bench:
    """Folders, the peer, and how much to do."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.scratch, self.quick = scratch, options.quick
        self.seeds = 1 if options.quick else options.seeds
        self.text = options.text
        self.nano = NanoGPT(options.nanogpt, scratch / "nanogpt")

    def prepare(self, name: str, recipe: str, *keys: str) -> list[str]:
        """Bring a run's data up to date, untimed; returns the command that trains it."""
        runs = self.scratch / "runs"
        sets = [part for key in (f"name={name}", *keys) for part in ("--set", key)]
        command = [sys.executable, "-m", "hornbook.cli", "run", recipe, *sets]
        command += ["--runs", str(runs)]
        subprocess.run([*command, "--until", "shards"], check=True, cwd=ROOT)
        return [*command, "--until", "pretrain"]

    def diary(self, name: str) -> list[dict[str, Any]]:
        """What the training of run ``name`` wrote down so far."""
        run = self.scratch / "runs" / name
        for stage in ("pretrain", "pretrain.partial"):
            if (run / stage / "metrics.jsonl").exists():
                return read_metrics(run / stage / "metrics.jsonl")
        return []

    def shards(self, name: str) -> Path:
        """The shards of run ``name``."""
        return self.scratch / "runs" / name / "shards"


def timed(command: list[str], cwd: Path = ROOT, **environment: str) -> dict[str, Any]:
    """Run ``command`` to its end with a cold compiler cache: seconds, peak bytes, output."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache, **environment}
        with tempfile.TemporaryFile("w+") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            output.seek(0)
            text = output.read()
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{text[-3000:]}")
    return {"seconds": seconds, "memory": usage.ru_maxrss * 1024, "output": text}


def held_out(diary: list[dict[str, Any]]) -> float:
    return [r["validation_loss"] for r in diary if "validation_loss" in r][-1]


def spread(values: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "all": values}


def shakespeare(bench: Bench) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Time to 1.88: nanoGPT's CPU recipe to its end, and ours to its end, each seed."""
    few = ("pretrain.steps=4",) if bench.quick else ()
    ours, theirs = [], []
    for seed in range(1, bench.seeds + 1):
        name = f"small-{seed}"
        keys = (f"data.sources.0.path={bench.text}", *SMALL, f"seed={seed}", *few)
        command = bench.prepare(name, "shakespeare", *keys)
        run = timed(command)
        ours.append({"seconds": run["seconds"], "loss": held_out(bench.diary(name))})
        print("  ours", ours[-1], flush=True)
        theirs.append(bench.nano.readme(bench.shards(name), seed, bench.quick, timed))
        print("  nanoGPT", theirs[-1], flush=True)
    time_ours = statistics.median(r["seconds"] for r in ours)
    time_theirs = statistics.median(r["seconds"] for r in theirs)
    worst = max(r["loss"] for r in ours)
    return [
        bar("Shakespeare, our loss, worst seed", worst, most=README_LOSS, unit="nats"),
        bar(
            "Shakespeare, time to 1.88, share of nanoGPT's",
            time_ours / time_theirs,
            most=0.25,
        ),
    ], {"shakespeare": {"ours": ours, "nanogpt": theirs}}


def best(bench: Bench) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """nanoGPT's A100 loss on this CPU."""
    few = ("pretrain.steps=4",) if bench.quick else ()
    runs = []
    for seed in range(1, bench.seeds + 1):
        name = f"large-{seed}"
        keys = (f"data.sources.0.path={bench.text}", *LARGE, f"seed={seed}", *few)
        run = timed(bench.prepare(name, "shakespeare", *keys))
        runs.append({"seconds": run["seconds"], "loss": held_out(bench.diary(name))})
        print("  ours", runs[-1], flush=True)
    loss = statistics.median(r["loss"] for r in runs)
    seconds = statistics.median(r["seconds"] for r in runs)
    return [
        bar("Shakespeare, best loss", loss, most=A100_LOSS, unit="nats"),
        bar("Shakespeare, time of it", seconds, most=360, unit="s"),
    ], {"best": runs}


def speed(bench: Bench) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Tokens per second and peak memory, the same GPT-2 shape and batch."""
    gpu = torch.cuda.is_available()
    shape = {"layers": 12, "heads": 12, "width": 768, "time": 1024, "batch": 12}
    if not gpu:
        shape = {"layers": 6, "heads": 6, "width": 384, "time": 256, "batch": 16}
    steps = 6 if bench.quick else 40
    command = bench.prepare(
        "speed",
        "shakespeare",
        f"data.sources.0.path={bench.text}",
        *gpt2_keys(shape),
        f"pretrain.steps={steps}",
        "pretrain.compile=yes",
        "pretrain.validate_every=0",
        "pretrain.checkpoint_every=0",
    )
    run = timed(command)
    diary = [r for r in bench.diary("speed") if "loss" in r]
    ours = {"tokens_per_second": rate([r["seconds"] for r in diary], shape)}
    ours["memory"] = run["memory"]
    theirs = bench.nano.speed(bench.shards("speed"), shape, steps, gpu, timed)
    fastest = max(t["tokens_per_second"] for t in theirs.values())
    least = min(t["memory"] for t in theirs.values())
    where = "GPU" if gpu else "CPU"
    bars = [
        bar(
            f"GPT-2 shape on the {where}, tokens/s, times nanoGPT's best",
            ours["tokens_per_second"] / fastest,
            least=1.15,
        ),
        bar("peak memory, share of nanoGPT's least", ours["memory"] / least, most=1.0),
    ]
    if gpu:
        ours["mfu"] = statistics.median(r["mfu"] for r in diary[len(diary) // 2 :])
    return bars, {"speed": {"shape": shape, "ours": ours, "nanogpt": theirs}}


def rate(seconds: list[float], shape: dict[str, int]) -> float:
    """Tokens per second by the median of the later half of the steps."""
    return (
        shape["batch"] * shape["time"] / statistics.median(seconds[len(seconds) // 2 :])
    )


def gpt2_keys(shape: dict[str, int]) -> tuple[str, ...]:
    """nanoGPT's own shape and optimizer, as keys of a recipe."""
    return (
        f"model.n_layers={shape['layers']}",
        f"model.d_model={shape['width']}",
        f"model.n_heads={shape['heads']}",
        f"model.n_kv_heads={shape['heads']}",
        f"model.d_ff={4 * shape['width']}",
        f"model.context_length={shape['time']}",
        f"pretrain.batch={shape['batch']}",
        *("model.mlp=gelu", "model.norm=layernorm", "model.norm_eps=1e-5"),
        *("model.position=learned", "model.bias=none", "model.qk_norm=false"),
        *("model.tied=true", "model.init=gpt2", "pretrain.optimizer=adamw"),
        *("pretrain.learning_rate=1e-3", "pretrain.weight_decay=0.1"),
    )


def bpe(bench: Bench) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """WikiText-2's validation text and the standard library, 4096 tokens, ~10 M parameters."""
    steps = 4 if bench.quick else 600
    ours_steps = 4 if bench.quick else 150
    keys = (
        *corpus(),
        *BPE,
        f"pretrain.steps={ours_steps}",
        f"pretrain.validate_every={max(ours_steps // 6, 1)}",
    )
    command = bench.prepare("bpe", "hello", *keys)
    theirs = bench.nano.bpe(bench.shards("bpe"), steps, bench.quick, timed)
    print("  nanoGPT", theirs, flush=True)
    ours = until(bench, command, "bpe", theirs["loss"])
    print("  ours", ours, flush=True)
    return [
        bar(
            "BPE corpus, our loss over nanoGPT's final",
            ours["loss"] / theirs["loss"],
            most=1.0,
        ),
        bar(
            "BPE corpus, time to nanoGPT's final loss, share of its time",
            ours["seconds"] / theirs["seconds"],
            most=0.25,
        ),
    ], {"bpe": {"ours": ours, "nanogpt": theirs}}


def corpus() -> tuple[str, ...]:
    """The sources: the standard library, and WikiText-2 where it is at hand."""
    wiki = DATA / "wikitext2" / "valid.txt"
    paths = [Path(sysconfig.get_paths()["stdlib"]), *([wiki] if wiki.exists() else [])]
    kinds = ['{kind = "python-stdlib"}']
    kinds += [f'{{kind = "files", path = "{path}"}}' for path in paths[1:]]
    return (f"data.sources=[{', '.join(kinds)}]", "tokenizer.vocab_size=4096")


def until(bench: Bench, command: list[str], name: str, target: float) -> dict[str, Any]:
    """Run ``command`` until its diary holds a held-out loss of ``target``, or to its end."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL
        )
        while True:
            ended = process.poll() is not None
            seconds = time.perf_counter() - started
            losses = [
                r["validation_loss"]
                for r in bench.diary(name)
                if "validation_loss" in r
            ]
            if ended or (losses and losses[-1] <= target):
                break
            time.sleep(0.2)
        if not ended:
            process.terminate()
            process.wait()
    return {"seconds": seconds, "loss": losses[-1], "reached": losses[-1] <= target}


PARTS = {"shakespeare": shakespeare, "best": best, "speed": speed, "bpe": bpe}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of it")
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--text", type=Path, default=DATA / "tinyshakespeare" / "input.txt"
    )
    options = parser.parse_args()
    if not options.text.exists():
        sys.exit(f"There is no {options.text}; give the Shakespeare text with --text.")
    kept = RESULTS / "pretrain.json"
    earlier = json.loads(kept.read_text()) if kept.exists() else {"bars": []}
    bars: list[dict[str, Any]] = []
    more = {p: earlier[p] for p in PARTS if p in earlier and p not in options.only}
    known = {part: earlier.get(f"{part}_bars", []) for part in more}
    for part, old in known.items():
        bars += old
        more[f"{part}_bars"] = old
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options, Path(scratch))
        for part in options.only:
            print(part, flush=True)
            found, facts = PARTS[part](bench)
            bars += found
            more |= {**facts, f"{part}_bars": found}
            shutil.rmtree(Path(scratch) / "runs", ignore_errors=True)
    finish("pretrain", options.quick, bars, ("numpy",), **more)


if __name__ == "__main__":
    main()
