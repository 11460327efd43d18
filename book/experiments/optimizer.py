"""What chapter 7 says about objective and optimizer: ``python -m book.experiments.optimizer``.

Takes a minute on one core. Writes ``book/artifacts/07/*.json``; the chapter prints them.
"""

import math
from typing import Any

import torch

from book.experiments.record import record
from book.experiments.small_runs import (
    SHAPE,
    TRAIN,
    batch,
    changed,
    run,
    smooth,
    trainer,
    watched,
)
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.train.cross_entropy import cross_entropy
from hornbook.train.guard import GuardConfig
from hornbook.train.optim import _peaks, orthogonalize

FREE = changed(TRAIN, guard=GuardConfig(spike=1e9))  # let bad rates do their damage


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("07/start.json", start())
    record("07/spectrum.json", spectrum())
    record("07/rates.json", rates())
    record("07/schedules.json", schedules())


# --------------------------------------------------------------------- where it starts
def start() -> dict[str, Any]:
    """The first loss, and how large the stream is, for several ways to begin."""
    deep = changed(SHAPE, n_layers=12)
    ways = {
        "zero": changed(deep, init="zero"),
        "gpt2": changed(deep, init="gpt2"),
        "mup": changed(deep, init="mup"),
        "unit head": deep,
    }
    rows = []
    for name, shape in ways.items():
        torch.manual_seed(3)
        model = Transformer(shape)
        if name == "unit head":
            assert model.head is not None
            torch.nn.init.normal_(model.head.weight)
        sizes = watched(model)
        given = batch(0)
        with torch.no_grad():
            logits = model(given.tokens).flatten(0, 1)
            loss = cross_entropy(logits, given.targets.flatten()) / given.weight
        row = {"name": name, "loss": loss.item(), "logits": logits.std().item()}
        rows.append({**row, "stream": sizes})
    return {"vocab": SHAPE.vocab_size, "layers": deep.n_layers, "rows": rows}


# ---------------------------------------------------------------------------- Muon
def spectrum() -> dict[str, Any]:
    """The singular values of a gradient, and what the iteration makes of them."""
    made = trainer(changed(TRAIN, steps=30))
    for step in range(30):
        made.step(step, batch(step))
    made.gradient(30, batch(30))
    name = "blocks.0.feed_forward.up.weight"
    gradient = dict(made.model.named_parameters())[name].grad
    assert gradient is not None

    def values(matrix: torch.Tensor) -> list[float]:
        return torch.linalg.svdvals(matrix.double()).tolist()

    before = values(gradient / gradient.norm())
    after = {n: values(orthogonalize(gradient[None], n)[0]) for n in range(1, 6)}
    energy = [v * v for v in before]
    half = next(k + 1 for k in range(len(energy)) if sum(energy[: k + 1]) > 0.5)
    facts = {"matrix": name, "shape": list(gradient.shape), "half": half}
    return {
        **facts,
        "before": before,
        "ratio": before[0] / before[-1],
        "after": [after[n] for n in range(1, 6)],
        "least": min(after[5]),
        "most": max(after[5]),
    }


# ------------------------------------------------------------------------ learning rates
def rates() -> dict[str, Any]:
    """The held-out loss by learning rate, for three optimizers."""
    found: dict[str, list[dict[str, float]]] = {}
    tried = {
        "sgd": (0.03, 0.1, 0.3, 1.0),
        "adamw": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
        "muon": (0.003, 0.01, 0.03, 0.1, 0.3),
    }
    curves = {}
    for kind, choices in tried.items():
        for rate in choices:
            made = trainer(
                changed(
                    FREE,
                    optimizer="muon" if kind == "muon" else "adamw",
                    learning_rate=rate,
                )
            )
            if kind == "sgd":
                weights = made.model.parameters()
                made.optimizers = _peaks(torch.optim.SGD(weights, rate, momentum=0.9))
            result = run(made)
            row = {"rate": rate, "power": math.log10(rate), "loss": result["loss"]}
            best = min(found.get(kind, []), key=lambda r: r["loss"], default=None)
            if best is None or row["loss"] < best["loss"]:
                curves[kind] = smooth(result["losses"])
            found.setdefault(kind, []).append(row)
    best = {kind: min(rows, key=lambda r: r["loss"]) for kind, rows in found.items()}
    facts = {"steps": FREE.steps, "tokens": FREE.batch * SHAPE.context_length}
    parameters = sum(p.numel() for p in trainer(FREE).model.parameters())
    return {
        **facts,
        "parameters": parameters,
        "found": found,
        "best": best,
        "curves": curves,
    }


# ---------------------------------------------------------------------------- schedules
def schedules() -> dict[str, Any]:
    """Cosine, warmup-stable-decay, and a rate that never falls: in a short run and a long."""
    narrow = changed(SHAPE, d_model=16, n_heads=1, n_kv_heads=1)
    kinds = {"short": (120, 0.03, SHAPE), "long": (600, 0.1, narrow)}
    return {name: _schedules(*kind) for name, kind in kinds.items()}


def _schedules(steps: int, peak: float, shape: ModelConfig) -> dict[str, Any]:
    base = changed(FREE, steps=steps, learning_rate=peak)
    ways = {
        "cosine": base,
        "wsd": changed(base, schedule="wsd"),
        "constant": changed(base, final=1.0),
    }
    rows = {}
    for way, config in ways.items():
        result = run(trainer(config, shape), every=steps // 12)
        rows[way] = {"held": result["held"], "loss": result["loss"]}
    return {"steps": steps, "peak": peak, "width": shape.d_model, "rows": rows}


if __name__ == "__main__":
    main()
