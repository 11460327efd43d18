"""Benchmarks on a small Llama: ours beside lm-evaluation-harness's Transformers backend.

    python bench/evaluate.py [--quick] [--data FOLDER]

The same items of the real sets, as many of each; the same weights (llama-10m's shape,
random), one thread, float32, each side in a process of its own that has loaded model and
data before the clock starts (of lm-eval only the time within its model counts): multiple
choice with no worked examples and with five (MMLU), and problems answered in up to 64 tokens
(GSM8K). Memory is what the process held at most. lm-eval gets the batch size that serves it
best of 1 (its default), 4 and 16, for choices, for answers and for memory; ours runs three
times in between, and the best of its times counts too.

Beside it, how much longer a program that does nothing takes in the sandbox than in a bare
interpreter, one after the other in turn.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measure import DATA, bar, finish

CHOICE = {"mmlu": 5, "hellaswag": 0, "arc_challenge": 0, "piqa": 0}  # worked examples
NEW_TOKENS = 64
CONTEXT = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(side(options)))
        return
    options.items = 8 if options.quick else options.items
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), options)
        mine, theirs = [], []
        for batch in (1, 4, 16):
            mine.append(apart("ours", Path(name), options))
            theirs.append(apart(f"lm-eval {batch}", Path(name), options))
    ours = {key: min(run[key] for run in mine) for key in mine[0]}
    best = {key: min(run[key] for run in theirs) for key in ours}
    sandbox = sandbox_seconds()
    overhead = sandbox["inside"] - sandbox["bare"]
    bars = [
        bar(what, value, least=least, most=most, unit=unit)
        for what, value, least, most, unit in (
            (
                "multiple choice beside lm-eval",
                _ratio(best, ours, "choice"),
                3,
                None,
                "x",
            ),
            ("generation beside lm-eval", _ratio(best, ours, "generate"), 2, None, "x"),
            (
                *("peak memory beside lm-eval's least", _ratio(ours, best, "memory")),
                *(None, 1, "x"),
            ),
            ("the sandbox's overhead for a program", overhead * 1e3, None, 30, "ms"),
        )
    ]
    measured = {"hornbook": ours, **dict(zip(("1", "4", "16"), theirs, strict=True))}
    finish(
        *("evaluate", options.quick, bars, ("lm_eval", "transformers")),
        items=options.items,
        seconds=measured,
        sandbox=sandbox,
    )


def _ratio(a: dict[str, float], b: dict[str, float], key: str) -> float:
    return a[key] / b[key]


def sandbox_seconds(programs: int = 40) -> dict[str, float]:
    """Medians of the seconds that a program which does nothing takes, in and out of it."""
    from hornbook.sandbox.run import Program, run

    inside, bare = [], []
    for _ in range(programs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-S", "-B", "-c", "x = 1"], check=True)
        bare.append(time.perf_counter() - start)
        start = time.perf_counter()
        assert run(Program("x = 1")).passed
        inside.append(time.perf_counter() - start)
    return {"inside": statistics.median(inside), "bare": statistics.median(bare)}


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Write model, tokenizer and lm-eval's tasks."""
    import msgspec
    import torch

    from bench.lm_eval_tasks import write_tasks
    from hornbook.model.huggingface import save_model
    from hornbook.model.presets import PRESETS
    from hornbook.model.transformer import Transformer
    from hornbook.tokenizer.config import TokenizerConfig
    from hornbook.tokenizer.train import train_tokenizer

    text = (options.data / "wikitext2" / "valid.txt").read_text()
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=4096), [text])
    tokenizer.save(folder / "model")
    shape = msgspec.structs.replace(
        PRESETS["llama-10m"], vocab_size=tokenizer.vocab_size, context_length=CONTEXT
    )
    network = Transformer(shape)
    dice = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(0.05 * torch.randn(weights.shape, generator=dice))
    save_model(network, folder / "model")
    write_tasks(folder, options.data, {}, options.items)


def apart(side: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """One side's seconds and memory, measured in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    command += ["--data", str(options.data), "--items", str(options.items)]
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | offline
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {side}: {found}", flush=True)
    return found


def side(options: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    if options.side == "ours":
        seconds = ours(options.folder, options.data, options.items)
    else:
        seconds = theirs(options.folder, int(options.side.split()[1]), options.items)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**seconds, "memory": peak}


def ours(folder: Path, data: Path, items: int) -> dict[str, float]:
    import msgspec

    from bench.lm_eval_tasks import SUBJECT
    from hornbook.evaluate.examples import read_examples
    from hornbook.evaluate.harness import run_task
    from hornbook.evaluate.task import load_task
    from hornbook.talk import open_engine

    engine = open_engine(folder / "model", None, "cpu")
    tasks = {name: load_task(name) for name in (*CHOICE, "gsm8k")}
    files = msgspec.structs.replace(tasks["mmlu"].files, test="mmlu/val/*_val.csv")
    tasks["mmlu"] = msgspec.structs.replace(
        tasks["mmlu"], where=f"file == '{SUBJECT}'", files=files
    )
    tasks["gsm8k"] = msgspec.structs.replace(tasks["gsm8k"], max_tokens=NEW_TOKENS)
    asked = {
        name: read_examples(task, data, CHOICE.get(name, 0), items)
        for name, task in tasks.items()
    }

    def seconds(name: str, count: int | None, run: str) -> float:
        start = time.perf_counter()
        notes = folder / f"{run}-{os.getpid()}" / f"{name}.jsonl"  # never resumed
        run_task(engine, tasks[name], asked[name][:count], notes)
        return time.perf_counter() - start

    for name in tasks:
        seconds(name, 1, "warm")
    return _summed({name: seconds(name, None, "run") for name in tasks})


def _summed(seconds: dict[str, float]) -> dict[str, float]:
    choice = sum(seconds[name] for name in CHOICE)
    return {"choice": choice, "generate": seconds["gsm8k"], **seconds}


def theirs(folder: Path, batch: int, items: int) -> dict[str, float]:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    class Timed(HFLM):
        """Counts the seconds within the model's answers, not those of reading tasks."""

        seconds = 0.0

        def loglikelihood(self, requests: Any, *rest: Any, **more: Any) -> Any:
            start = time.perf_counter()
            found = super().loglikelihood(requests, *rest, **more)
            self.seconds += time.perf_counter() - start
            return found

        def generate_until(self, requests: Any, *rest: Any, **more: Any) -> Any:
            start = time.perf_counter()
            found = super().generate_until(requests, *rest, **more)
            self.seconds += time.perf_counter() - start
            return found

    model = Timed(
        pretrained=str(folder / "model"),
        dtype="float32",
        device="cpu",
        batch_size=batch,
        max_length=CONTEXT,
    )
    manager = TaskManager(include_path=str(folder))

    def seconds(name: str, shots: int, limit: int) -> float:
        model.seconds = 0.0
        lm_eval.simple_evaluate(
            model=model,
            tasks=[f"x_{name}"],
            num_fewshot=shots,
            limit=limit,
            bootstrap_iters=0,
            gen_kwargs=f"max_gen_toks={NEW_TOKENS}",
            log_samples=False,
            task_manager=manager,
        )
        return model.seconds

    wanted = {**CHOICE, "gsm8k": 0}
    for name, shots in wanted.items():
        seconds(name, shots, 1)
    return _summed({n: seconds(n, shots, items) for n, shots in wanted.items()})


if __name__ == "__main__":
    main()
