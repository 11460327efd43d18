"""Forward and backward of two shapes beside Transformers' classes: seconds and memory.

    python bench/model.py [--quick] [--only gpt2-124m llama-110m] [--device cpu]

GPT-2 124M and a Llama of 110 M parameters, the same weights on both sides, loss and all,
eager and compiled; Transformers attends through SDPA. The two sides take turns in one
process, so that a busy minute hits both. Memory is the peak of a process of its own that
runs steps of one side. On a CPU one row of 512 tokens, on a GPU eight rows of 1024.
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
FASTER, DTYPES = 1.15, {"bfloat16": torch.bfloat16, "float32": torch.float32}
Step = Callable[[], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="eager only, short rows")
    parser.add_argument("--only", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(json.dumps(peak(options)))
        return
    measured = earlier() if not options.quick else {}
    for shape in options.only:
        for dtype in options.dtype:
            print(f"{shape}, {dtype}", flush=True)
            found = speed(shape, dtype, options) | memory(shape, dtype, options)
            measured[f"{shape}, {dtype}"] = found
    bars = [line for name, found in measured.items() for line in bars_of(name, found)]
    finish("model", options.quick, bars, ("transformers",), measured=measured)


def earlier() -> dict[str, Any]:
    """What an earlier run measured of other shapes."""
    path = RESULTS / "model.json"
    return json.loads(path.read_text())["measured"] if path.exists() else {}


def bars_of(name: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Times as fast as Transformers, and the share of its memory."""
    lines = []
    for how, seconds in found["seconds"].items():
        ratio = statistics.median(seconds["theirs"]) / statistics.median(
            seconds["ours"]
        )
        lines.append(bar(f"{name}, {how}: times as fast", ratio, least=FASTER))
    for how, peaks in found["peak_bytes"].items():
        share = peaks["ours"] / peaks["theirs"]
        lines.append(bar(f"{name}, {how}: share of their memory", share, most=1.0))
    return lines


# ------------------------------------------------------------------------------- the sides


def shape_of(options: argparse.Namespace) -> tuple[int, int]:
    """Rows and tokens of a batch."""
    if options.device != "cpu":
        return 8, 1024
    return (1, 128) if options.quick else (1, 512)


def sides(shape: str, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """Ours and theirs with the same weights, each as a function that gives the loss."""
    import transformers

    torch.manual_seed(0)
    device = torch.device(options.device)
    model = Transformer(preset(shape, init="gpt2"))
    with tempfile.TemporaryDirectory() as directory:
        save_model(model, Path(directory))
        peer = transformers.AutoModelForCausalLM.from_pretrained(
            directory, attn_implementation="sdpa", dtype=torch.float32
        )
    peer.config.use_cache = False
    model, peer = model.to(device).train(), peer.to(device).train()
    rows, time_ = shape_of(options)
    tokens = torch.randint(model.config.vocab_size, (rows, time_), device=device)
    targets = tokens.roll(-1, 1)
    targets[:, -1] = (
        IGNORE  # theirs shifts the labels itself, and has none for the last
    )
    batch = Batch(tokens, targets)
    count = rows * (time_ - 1)

    def ours() -> torch.Tensor:
        return next_token(model, batch).total / count

    def theirs() -> torch.Tensor:
        return peer(input_ids=tokens, labels=tokens).loss

    return {"ours": (model, ours), "theirs": (peer, theirs)}


def step_of(model: Any, loss: Callable[[], torch.Tensor], backend: Backend) -> Step:
    """One forward and backward pass."""

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with backend.autocast():
            value = loss()
        value.backward()
        if backend.device.type == "cuda":
            torch.cuda.synchronize()

    return step


# -------------------------------------------------------------------------------- measuring


def speed(shape: str, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each side's steps, eager and compiled, the sides taking turns."""
    both = sides(shape, dtype, options)
    steps: dict[tuple[str, str], Step] = {}
    for how in ("eager",) if options.quick else ("eager", "compiled"):
        backend = backend_of(dtype, how, options)
        for side, (model, loss) in both.items():
            # Ours compiles as its training loop does, theirs as its users do.
            compiled = backend.compiled(loss) if side == "ours" else torch.compile(loss)
            chosen = compiled if how == "compiled" else loss
            steps[how, side] = step_of(model, chosen, backend)
    losses = [loss().item() for _, loss in both.values()]
    assert abs(losses[0] - losses[1]) < 1e-3, losses
    seconds: dict[str, dict[str, list[float]]] = {}
    for step in steps.values():
        step()
        step()
    for _ in range(options.rounds):
        for (how, side), step in steps.items():
            started = time.perf_counter()
            step()
            taken = time.perf_counter() - started
            seconds.setdefault(how, {}).setdefault(side, []).append(taken)
    rows, time_ = shape_of(options)
    work = flops_per_token(preset(shape), time_) * rows * time_
    return {
        "rows": rows,
        "time": time_,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "gflops_per_second": {
            how: {side: work / statistics.median(s) / 1e9 for side, s in taken.items()}
            for how, taken in seconds.items()
        },
    }


def backend_of(dtype: str, how: str, options: argparse.Namespace) -> Backend:
    device = torch.device(options.device)
    return Backend(device, DTYPES[dtype], how == "compiled", "")


def memory(shape: str, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """Bytes at the peak of eager steps, each side in a process of its own."""
    peaks = {}
    for side in ("ours", "theirs"):
        command = [sys.executable, __file__, "--memory-of", side, "--only", shape]
        command += ["--dtype", dtype, "--device", options.device]
        command += ["--quick"] if options.quick else []
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[side] = json.loads(done.stdout.splitlines()[-1])
    return {"peak_bytes": {"eager": peaks}}


def peak(options: argparse.Namespace) -> int:
    """Bytes that three steps of one side need at their peak, weights and all."""
    shape, dtype = options.only[0], options.dtype[0]
    both = sides(shape, dtype, options)
    model, loss = both.pop(options.memory_of)
    both.clear()  # the other side's weights are freed
    step = step_of(model, loss, backend_of(dtype, "eager", options))
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    for _ in range(3):
        step()
    if options.device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main()
