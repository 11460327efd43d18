"""What sharing a training out costs: each axis beside one process, loader, checkpoints.

    python bench/scale.py [--quick]

Two ranks of one thread each against one process of two threads, at equal total work, over
gloo on this machine; checkpoints by DCP on two ranks. No peers: PyTorch's own means are
what is measured.
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

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from bench.measure import bar, finish  # noqa: E402
from hornbook.data.batch import Batch  # noqa: E402
from hornbook.data.loader import PretrainBatches  # noqa: E402
from hornbook.data.shards import Shards  # noqa: E402
from hornbook.data.windows import Windows  # noqa: E402
from hornbook.model.config import ExpertsConfig, ModelConfig  # noqa: E402
from hornbook.model.transformer import Transformer  # noqa: E402
from hornbook.train.backend import choose_backend  # noqa: E402
from hornbook.train.config import TrainConfig  # noqa: E402
from hornbook.train.loop import prepare  # noqa: E402
from hornbook.train.objective import next_token  # noqa: E402
from hornbook.train.parallel.config import ParallelConfig  # noqa: E402

MODEL = ModelConfig(
    n_layers=4,
    d_model=256,
    n_heads=4,
    n_kv_heads=4,
    context_length=256,
    vocab_size=4096,
    init="gpt2",
)
EXPERTS = msgspec.structs.replace(
    MODEL, d_ff=384, experts=ExpertsConfig(count=4, active=2, balance=0.0)
)
TRAIN = TrainConfig(
    steps=100, batch=8, optimizer="adamw", precision="float32", compile="no"
)
PIECES = msgspec.structs.replace(TRAIN, micro_batch=2)
CASES = {
    "data": ({"data": 2}, MODEL, TRAIN),
    "shard": ({"shard": 2}, MODEL, TRAIN),
    "tensor": ({"tensor": 2}, MODEL, TRAIN),
    "context": ({"context": 2}, MODEL, TRAIN),
    "pipeline": ({"pipeline": 2}, MODEL, PIECES),
    "expert": ({"expert": 2}, EXPERTS, TRAIN),
}


def seconds_per_step(
    model: ModelConfig, train: TrainConfig, team: Any, steps: int
) -> float:
    """The median of ``steps`` steps, after one that warms up."""
    torch.manual_seed(0)
    backend = choose_backend(train, "cpu")
    trainer = prepare(Transformer(model), next_token, train, backend, 1, team)
    tokens = torch.randint(model.vocab_size, (train.batch, model.context_length))
    batch = trainer.team.batch(lambda n: Batch(tokens, tokens), 0)
    times = []
    for step in range(steps + 1):
        started = time.perf_counter()
        trainer.gradient(step, batch)
        trainer.update(step)
        trainer.forget()
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[steps // 2]


def alone(steps: int) -> dict[str, float]:
    """One process of two threads."""
    torch.set_num_threads(2)
    kinds = {
        "dense": (MODEL, TRAIN),
        "pieces": (MODEL, PIECES),
        "moe": (EXPERTS, TRAIN),
    }
    return {n: seconds_per_step(m, t, None, steps) for n, (m, t) in kinds.items()}


def worker(steps: int, folder: Path, result: Path) -> None:
    """One of two ranks: every axis in turn, then checkpoints."""
    from hornbook.train.parallel.ranks import Ranks, join, leave

    torch.set_num_threads(1)
    device, _ = join("cpu", 600.0)
    found: dict[str, Any] = {}
    for name, (axes, model, train) in CASES.items():
        ranks = Ranks(ParallelConfig(**{"data": 1, **axes}), device)
        found[name] = seconds_per_step(model, train, ranks, steps)
    found |= checkpoints(Ranks(ParallelConfig(data=1, shard=2), device), folder)
    if ranks.first:
        result.write_text(json.dumps(found))
    leave()


def checkpoints(ranks: Any, folder: Path) -> dict[str, float]:
    """Seconds that a save holds up training, that it takes in all, and that a load takes."""
    wide = msgspec.structs.replace(MODEL, d_model=512, n_heads=8, n_kv_heads=8)
    backend = choose_backend(TRAIN, "cpu")
    config = msgspec.structs.replace(TRAIN, checkpoint_every=1)
    trainer = prepare(Transformer(wide), next_token, config, backend, 1, ranks)
    tokens = torch.randint(wide.vocab_size, (8, 256))
    batch = ranks.batch(lambda n: Batch(tokens, tokens), 0)
    times = []
    for step in range(3):
        started = time.perf_counter()
        trainer.gradient(step, batch)
        trainer.update(step)
        trainer.forget()
        times.append(time.perf_counter() - started)
    saves = ranks.saves(folder, config, trainer.model, trainer.optimizers, None)
    blocked, whole = [], []
    for step in (1, 2, 3):
        started = time.perf_counter()
        saves.save(step, trainer.state())
        blocked.append(time.perf_counter() - started)
        saves.wait()
        whole.append(time.perf_counter() - started)
    size = sum(f.stat().st_size for f in saves.newest().rglob("*.safetensors"))
    started = time.perf_counter()
    saves.resume()
    loading = time.perf_counter() - started
    return {
        "checkpoint_bytes": size,
        "step": min(times),
        "blocked": sorted(blocked)[1],
        "saving": sorted(whole)[1],
        "loading": loading,
    }


def loader(folder: Path, quick: bool) -> dict[int, float]:
    """Tokens per second that each of 1, 2, 4 ranks' processes reads of its share."""
    tokens = np.random.default_rng(0).integers(0, 4096, 20_000_000).astype(np.uint16)
    np.save(folder / "tokens.npy", tokens)
    found = {}
    for ranks in (1, 2, 4):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); from bench.scale import read;"
            "read(*sys.argv[2:])"
        )
        arguments = [str(folder / "tokens.npy"), str(ranks), "5" if quick else "30"]
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(ROOT), *arguments, str(rank)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(ranks)
        ]
        speeds = [float(process.communicate()[0]) for process in processes]
        found[ranks] = sum(speeds)
    return found


def read(path: str, ranks: str, steps: str, rank: str) -> None:
    """A rank of the loader bench; prints its tokens per second."""
    array = np.load(path, mmap_mode="r")
    index = {"sources": {"a": 1}, "bytes": 1, "vocab_size": 4096}
    edges = np.array([0, len(array)])
    shards = Shards(Path(path).parent, [array], edges, edges, index)
    rows, count, length = 512, int(ranks), 1024
    batches = PretrainBatches([Windows(shards, length, 1, 0, len(array))], rows)
    mine = slice(int(rank) * rows // count, (int(rank) + 1) * rows // count)
    batches.part(0, mine)
    started, seen = time.perf_counter(), 0
    for step in range(1, int(steps) + 1):
        seen += batches.part(step, mine).tokens.numel()
    print(seen / (time.perf_counter() - started))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worker", type=Path)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    steps = 1 if options.quick else 5
    if options.worker:
        worker(steps, options.folder, options.worker)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        one = alone(steps)
        result, saves = folder / "result.json", folder / "saves"
        saves.mkdir()
        subprocess.run(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
                *("--nproc-per-node", "2", __file__, "--worker", str(result)),
                *("--folder", str(saves), *(["--quick"] if options.quick else [])),
            ],
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        two = json.loads(result.read_text())
        speeds = loader(folder, options.quick)
    report(one, two, speeds, options.quick)


def report(
    one: dict[str, float], two: dict[str, Any], speeds: dict[int, float], quick: bool
) -> None:
    """The bars: what each axis costs, the loader, the checkpoints."""
    bars = []
    for name in CASES:
        base = one[{"pipeline": "pieces", "expert": "moe"}.get(name, "dense")]
        bars.append(
            bar(
                f"{name}: two ranks' step over one process's",
                two[name] / base,
                most=1.6,
            )
        )
    for ranks, speed in speeds.items():
        bars.append(
            bar(f"loader, {ranks} ranks", speed / 1e6, least=10, unit="M tokens/s")
        )
    size = two["checkpoint_bytes"]
    bars.append(bar("checkpoint saved", size / two["saving"] / 1e9, 0.1, unit="GB/s"))
    bars.append(bar("checkpoint loaded", size / two["loading"] / 1e9, 0.1, unit="GB/s"))
    held = two["blocked"]
    bars.append(
        bar(
            "a save holds training up",
            100 * held / two["step"],
            most=5,
            unit="% of a step",
        )
    )
    finish("scale", quick, bars, alone=one, together=two)


if __name__ == "__main__":
    main()
