"""What chapter 8 says about the training loop: ``python -m book.experiments.loop``.

Takes half a minute on one core. Writes ``book/artifacts/08/*.json``; the chapter prints them.
"""

import contextlib
import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model

from book.experiments.record import record
from book.experiments.small_runs import (
    SHAPE,
    TRAIN,
    batch,
    changed,
    held_out,
    run,
    trainer,
)
from hornbook.data.batch import IGNORE, Batch
from hornbook.model.transformer import Transformer
from hornbook.planning import shape_of
from hornbook.recipe import load
from hornbook.train.backend import choose_backend
from hornbook.train.checkpoint import optimizer_tensors
from hornbook.train.config import TrainConfig
from hornbook.train.guard import GuardConfig
from hornbook.train.loop import Hooks, train
from hornbook.train.metrics import read_metrics
from hornbook.train.objective import next_token
from hornbook.train.plan import memory
from hornbook.train.scaler import START

MB = 1e6


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("08/formats.json", formats())
    record("08/pieces.json", pieces())
    record("08/memory.json", planned_memory())
    record("08/resume.json", resume())
    record("08/guard.json", guarded())


# ------------------------------------------------------------------------------- numbers
def formats() -> dict[str, Any]:
    """What the number formats can hold, and what of a real gradient survives in each."""
    made = trainer(changed(TRAIN, steps=60))
    for step in range(60):
        made.step(step, batch(step))
    made.gradient(60, batch(60))
    weights = [p for p in made.model.parameters() if p.grad is not None]
    gradient = torch.cat([p.grad.flatten() for p in weights if p.grad is not None])
    gradient = gradient[gradient != 0]
    rows = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        facts = torch.finfo(dtype)
        one, small = torch.ones((), dtype=dtype), torch.tensor(1e-3, dtype=dtype)
        sum_ = one.clone()
        for _ in range(1000):
            sum_ += small
        plain = gradient.to(dtype)
        scaled = (gradient * START).to(dtype)
        rows.append(
            {
                "name": str(dtype).removeprefix("torch."),
                "bits": facts.bits,
                "largest": facts.max,
                "least": facts.smallest_normal,
                "gap": facts.eps,
                "sum": sum_.item(),
                "lost": (plain == 0).double().mean().item(),
                "lost_scaled": (scaled == 0).double().mean().item(),
                "over": (~scaled.isfinite()).double().mean().item(),
            }
        )
    powers = gradient.abs().log2().floor().clamp(-45, 0)
    counts = torch.bincount((powers + 45).long(), minlength=46).double()
    histogram = [(k - 45, c) for k, c in enumerate((counts / counts.sum()).tolist())]
    return {"rows": rows, "scale": START, "histogram": histogram}


# -------------------------------------------------------------------------- micro-batches
def pieces() -> dict[str, Any]:
    """Gradients of a batch cut into micro-batches: added as the loop does, and averaged."""
    whole = batch(3)
    targets = whole.targets.clone()
    for row in range(len(targets)):  # rows of very different length, as in fine-tuning
        targets[row, 4 + 60 * row // len(targets) :] = IGNORE
    given = Batch(whole.tokens, targets)
    config = changed(TRAIN, clip=0.0)
    exact = _gradient(config, given)
    rows = []
    for size in (16, 8, 4, 2, 1):
        ours = _gradient(changed(config, micro_batch=size), given)
        parts = [_gradient(config, part) for part in given.split(size)]
        mean = torch.stack(parts).mean(0)
        rows.append(
            {
                "size": size,
                "ours": ((ours - exact).norm() / exact.norm()).item(),
                "mean": ((mean - exact).norm() / exact.norm()).item(),
            }
        )
    counts = (targets != IGNORE).sum(1)
    return {
        "rows": rows,
        "least": int(counts.min()),
        "most": int(counts.max()),
        "batch": len(targets),
    }


def _gradient(config: TrainConfig, given: Batch) -> torch.Tensor:
    made = trainer(config)
    # Away from the start, where half of the matrices are zero.
    dice = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in made.model.parameters():
            weight += 0.02 * torch.randn(weight.shape, generator=dice)
    made.gradient(0, given)
    return torch.cat(
        [p.grad.flatten() for p in made.model.parameters() if p.grad is not None]
    )


# ------------------------------------------------------------------------------- memory
def planned_memory() -> dict[str, Any]:
    """GPT-2 124M by the planner: what each way to save memory saves."""
    recipe = load("gpt2-124m")
    shape = shape_of(recipe)
    base = changed(recipe.pretrain, micro_batch=0, logit_chunk=0)
    ways = {
        "whole batch": {},
        "micro": {"micro_batch": 12},
        "chunk": {"micro_batch": 12, "logit_chunk": 4096},
        "recompute": {"micro_batch": 12, "logit_chunk": 4096, "recompute": True},
    }
    rows = [
        {"name": name, **memory(shape, changed(base, **keys), True)}
        for name, keys in ways.items()
    ]
    for row in rows:
        row["total"] = sum(v for v in row.values() if isinstance(v, float))
    return {"rows": rows, "batch": base.batch, "context": shape.context_length}


# ------------------------------------------------------------------------------- resuming
def resume() -> dict[str, Any]:
    """A run without a break, one broken off and resumed, one that forgot its optimizer."""
    steps, cut = 80, 40
    config = changed(
        TRAIN, steps=steps, learning_rate=0.03, checkpoint_every=cut, keep_last=9
    )
    with tempfile.TemporaryDirectory() as folder:
        straight, broken, forgot = (Path(folder) / name for name in "abc")
        for directory in (straight, broken, forgot):
            directory.mkdir()
        whole = _trained(config, straight)
        _trained(config, broken, until=cut)
        again = _trained(config, broken)
        losses = {
            "straight": _losses(straight),
            "resumed": _losses(broken),
        }
    same = all(
        torch.equal(a, b)
        for a, b in zip(whole.parameters(), again.parameters(), strict=True)
    )
    amnesia = trainer(config)
    forgetful = []
    for step in range(steps):
        if step == cut:
            for optimizer in amnesia.optimizers:
                optimizer.state.clear()
        forgetful.append(amnesia.step(step, batch(step))[0]["loss"])
    losses["forgetful"] = forgetful
    shuffled = trainer(config)
    restarted = []
    for step in range(steps):
        given = batch(step if step < cut else step - cut)
        restarted.append(shuffled.step(step, given)[0]["loss"])
    losses["restarted"] = restarted
    apart = [abs(a - b) for a, b in zip(losses["straight"], forgetful, strict=True)]
    return {
        "steps": steps,
        "cut": cut,
        "same": same,
        "losses": losses,
        "most_apart": max(apart),
        "held_straight": held_out(whole),
        "held_forgetful": held_out(amnesia.model),
        "tensors": len(optimizer_tensors(amnesia.model, amnesia.optimizers)),
    }


class Cut(Exception):
    """Stands in for a power cut."""


def _trained(config: TrainConfig, directory: Path, until: int = 0) -> torch.nn.Module:
    torch.manual_seed(1)
    model = Transformer(SHAPE)

    def source(n: int) -> Batch:
        if until and n == until + 7:
            raise Cut
        return batch(n)

    backend = choose_backend(config, "cpu")
    with contextlib.suppress(Cut):
        train(
            model,
            next_token,
            source,
            config,
            directory,
            _files(model),
            backend=backend,
            seed=1,
            label="run",
        )
    return model


def _losses(directory: Path) -> list[float]:
    return [r["loss"] for r in read_metrics(directory / "metrics.jsonl") if "loss" in r]


def _files(model: Transformer) -> Hooks:
    """How the weights of ``model`` are written and read."""

    def read(directory: Path) -> None:
        load_model(model, str(directory / "model.safetensors"))

    return Hooks(
        write_model=lambda m, to: save_model(m, str(to / "model.safetensors")),
        read_model=read,
    )


# ------------------------------------------------------------------------------ the guard
def guarded() -> dict[str, Any]:
    """Batches of noise in the middle of a run, with the guard and with a blind one."""
    steps, poison = 110, range(60, 65)
    config = changed(TRAIN, steps=steps, learning_rate=0.05, checkpoint_every=10)

    def poisoned(n: int) -> Batch:
        given = batch(n)
        if n not in poison:
            return given
        dice = torch.Generator().manual_seed(n)
        noise = torch.randint(128, 256, given.targets.shape, generator=dice)
        return Batch(given.tokens, noise)

    clean = run(trainer(config))
    blind = run(trainer(changed(config, guard=GuardConfig(spike=1e9))), poisoned)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        model = Transformer(SHAPE)
        backend = choose_backend(config, "cpu")
        train(
            model,
            next_token,
            poisoned,
            config,
            Path(folder),
            _files(model),
            backend=backend,
            seed=1,
            label="guarded",
        )
        diary = read_metrics(Path(folder) / "metrics.jsonl")
    events = [r for r in diary if "event" in r]
    return {
        "steps": steps,
        "first": poison.start,
        "count": len(poison),
        "uniform": math.log(128),
        "clean": clean["losses"],
        "blind": blind["losses"],
        "guarded": [(r["step"], r["loss"]) for r in diary if "loss" in r],
        "held": {
            "clean": clean["loss"],
            "blind": blind["loss"],
            "guarded": held_out(model),
        },
        "events": events,
    }


if __name__ == "__main__":
    main()
