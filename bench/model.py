"""Forward and backward of two shapes beside Transformers' classes: seconds and memory.

    python bench/model.py [--quick] [--only gpt2-124m llama-110m] [--dtype bfloat16 float32]
                          [--how eager compiled] [--threads 1] [--device cpu]
                          [--sides ours theirs]

GPT-2 124M and a Llama of 110 M parameters, the same weights on both sides, loss and all,
eager and compiled; Transformers attends through SDPA. Ours is set up as its training loop
sets it up, theirs as its users do; to tell how much of the difference is the memory
allocator's, theirs also runs with ours' settings. Each side is a process of its own, and
they take turns step by step, so that a busy minute hits all. On a CPU a batch is one row of
512 tokens, on a GPU eight rows of 1024. One thread is timed in its own CPU seconds, which
other programs disturb least; more in seconds that pass. Results of shapes not asked for are
kept.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.measure import RESULTS, bar, finish  # noqa: E402
from hornbook.data.batch import IGNORE, Batch  # noqa: E402
from hornbook.model.huggingface import save_model  # noqa: E402
from hornbook.model.presets import preset  # noqa: E402
from hornbook.model.sizes import flops_per_token  # noqa: E402
from hornbook.model.transformer import Transformer  # noqa: E402
from hornbook.train.backend import Backend  # noqa: E402
from hornbook.train.objective import next_token  # noqa: E402

SHAPES = ("gpt2-124m", "llama-110m")
SIDES = ("ours", "theirs", "theirs, our allocator")
FASTER = 1.15
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="eager, short rows")
    parser.add_argument("--only", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["bfloat16"])
    parser.add_argument("--how", nargs="+", default=["eager", "compiled"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        serve(options)
        return
    measured = {} if options.quick else earlier()
    hows = ["eager"] if options.quick else options.how
    for shape in options.only:
        for dtype in options.dtype:
            for how in hows:
                name = f"{shape}, {dtype}, {how}"
                measured[name] = measure(shape, dtype, how, options)
    bars = [line for name, found in measured.items() for line in bars_of(name, found)]
    finish("model", options.quick, bars, ("transformers",), measured=measured)


def earlier() -> dict[str, Any]:
    """What an earlier run measured of other shapes."""
    path = RESULTS / "model.json"
    return json.loads(path.read_text())["measured"] if path.exists() else {}


def bars_of(name: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """How many times as fast as Transformers, and the share of its memory."""
    seconds, peaks = found["median_seconds"], found["peak_bytes"]
    return [
        bar(f"{name}: times as fast", seconds["theirs"] / seconds["ours"], FASTER),
        bar(f"{name}: share of their peak", peaks["ours"] / peaks["theirs"], most=1.0),
    ]


def shape_of(options: argparse.Namespace) -> tuple[int, int]:
    """Rows and tokens of a batch."""
    if options.device != "cpu":
        return 8, 1024
    return (1, 256) if options.quick else (1, 512)


# ------------------------------------------------------------------- the one who measures


def measure(
    shape: str, dtype: str, how: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Seconds of steps of all sides, taken in turns, and the bytes at their peaks."""
    workers = {
        side: start(side, shape, dtype, how, options)
        for side in options.sides
        if not (options.quick and side == SIDES[2])
    }
    losses = {
        side: ask(worker) for side, worker in workers.items()
    }  # when all are ready
    assert max(losses.values()) - min(losses.values()) < 0.02, losses
    seconds: dict[str, list[float]] = {side: [] for side in workers}
    for _ in range(3 if options.quick else options.rounds):
        for side, worker in workers.items():
            seconds[side].append(ask(worker, "step"))
    peaks = {side: ask(worker, "peak") for side, worker in workers.items()}
    for worker in workers.values():
        worker.communicate("stop\n")
    medians = {side: statistics.median(taken) for side, taken in seconds.items()}
    rows, time_ = shape_of(options)
    work = flops_per_token(preset(shape), time_) * rows * time_
    print(f"{shape}, {dtype}, {how}: {medians} s, {peaks} bytes", flush=True)
    return {
        "rows": rows,
        "time": time_,
        "threads": options.threads,
        "median_seconds": medians,
        "seconds": seconds,
        "peak_bytes": peaks,
        "gflops_per_second": {s: work / taken / 1e9 for s, taken in medians.items()},
    }


def start(
    side: str, shape: str, dtype: str, how: str, options: argparse.Namespace
) -> subprocess.Popen:
    command = [sys.executable, __file__, "--side", side, "--only", shape]
    command += ["--dtype", dtype, "--how", how, "--device", options.device]
    command += ["--threads", str(options.threads)]
    command += ["--quick"] if options.quick else []
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    )


def ask(worker: subprocess.Popen, word: str = "") -> float:
    """Send a word, if any, and wait for the number that comes back."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    if word:
        print(word, file=worker.stdin, flush=True)
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"{worker.args} ended by itself")
    return float(line)


# ------------------------------------------------------------------- the ones measured


def serve(options: argparse.Namespace) -> None:
    """Be one side: say the loss when warm, then time a step at every word."""
    device, dtype = torch.device(options.device), DTYPES[options.dtype[0]]
    torch.set_num_threads(options.threads)
    alone = options.threads == 1 and device.type == "cpu"
    clock = time.process_time if alone else time.perf_counter
    backend = Backend(device, dtype, options.how[0] == "compiled", "")
    if options.side != "theirs":
        backend.prepare()
    step = step_of(options, backend)
    step()
    loss = step()
    forget_peak(device)
    print(loss, flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            return
        if line.strip() == "peak":
            print(peak(device), flush=True)
            continue
        started = clock()
        step()
        print(clock() - started, flush=True)


def step_of(options: argparse.Namespace, backend: Backend) -> Callable[[], float]:
    """One side's forward and backward pass; it gives the loss."""
    rows, time_ = shape_of(options)
    torch.manual_seed(0)
    model = Transformer(preset(options.only[0], init="gpt2"))
    tokens = torch.randint(model.config.vocab_size, (rows, time_)).to(backend.device)
    targets = tokens.roll(-1, 1)
    targets[:, -1] = (
        IGNORE  # theirs shifts the labels itself, and has none for the last
    )
    batch, count = Batch(tokens, targets), rows * (time_ - 1)
    if options.side == "ours":
        model = model.to(backend.device).train()
        objective = backend.compiled(next_token)

        def forward() -> torch.Tensor:
            return objective(model, batch).total / count

    else:
        peer = transformers_model(model).to(backend.device).train()
        model = peer
        called = torch.compile(peer) if backend.compile else peer

        def forward() -> torch.Tensor:
            return called(input_ids=tokens, labels=tokens).loss

    def step() -> float:
        model.zero_grad(set_to_none=True)
        with backend.autocast():
            loss = forward()
        loss.backward()
        return loss.item()

    return step


def transformers_model(model: Transformer) -> Any:
    """The same weights in Transformers' class."""
    import transformers

    with tempfile.TemporaryDirectory() as directory:
        save_model(model, Path(directory))
        peer = transformers.AutoModelForCausalLM.from_pretrained(
            directory, attn_implementation="sdpa", dtype=torch.float32
        )
    peer.config.use_cache = False
    return peer


def forget_peak(device: torch.device) -> None:
    """Let the peak be that of the steps to come, not of loading and compiling."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device) -> int:
    """Bytes of this process at its peak, on the GPU where there is one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main()
