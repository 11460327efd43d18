"""What chapter 9 says about scaling laws: ``python -m book.experiments.laws``.

Takes a minute on one core. Writes ``book/artifacts/09/*.json``.
"""

from typing import Any

import numpy as np
import torch

from book.experiments.record import record
from book.experiments.small_runs import SHAPE, TRAIN, changed, run, trainer
from hornbook.model import sizes
from hornbook.planning import ladder, look_ahead, propose, shape_of, size_in_law
from hornbook.recipe import load
from hornbook.train.hardware import GPUS, USUAL_MFU
from hornbook.train.scaling import PUBLISHED, fit, useful_tokens


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("09/published.json", published())
    record("09/plans.json", plans())
    record("09/noise.json", noise())
    record("09/short.json", sweep((40, 80, 160)))
    record("09/sweep.json", sweep((150, 300, 600)))


def published() -> dict[str, Any]:
    """The published law, and what text read again is worth by the code's formula."""
    worth = [
        (passes, useful_tokens(passes, 1.0)) for passes in (1, 2, 4, 8, 16, 32, 64, 128)
    ]
    hello = load("hello")
    shape, train = shape_of(hello), hello.pretrain
    tokens = train.steps * train.batch * shape.context_length
    small = {
        "counted": size_in_law(shape),
        "tokens": tokens,
        "flops": tokens * sizes.flops_per_token(shape),
        "vocab": shape.vocab_size,
        "forecast": PUBLISHED.loss(size_in_law(shape), tokens),
    }
    return {"law": PUBLISHED.table(), "worth": worth, "hello": small}


# ---------------------------------------------------------------------------- plans
def plans() -> dict[str, Any]:
    """The 124M recipe on several GPUs, and what several budgets are best spent on."""
    recipe = load("gpt2-124m")
    rows = []
    for name in ("H100", "A100", "RTX 4090", "T4"):
        outlook = look_ahead(recipe, "cpu", name, 0.0, 0.0)
        rows.append(
            {
                "name": outlook.machine.name,
                "seconds": outlook.cost.seconds,
                "kwh": outlook.cost.kwh,
                "dollars": outlook.cost.dollars,
                "speed": outlook.cost.tokens_per_second,
                "memory": outlook.plan.total_memory,
                "fits": outlook.fits,
                "changes": outlook.changes,
            }
        )
    plan = look_ahead(recipe, "cpu", "H100", 0.0, 0.0).plan
    machine = GPUS["h100"]
    budgets = []
    for hours in (1, 8, 64, 512):
        found = propose(recipe, hours * 3600, machine.peak * USUAL_MFU, PUBLISHED)
        budgets.append(
            {
                "hours": hours,
                "dollars": hours * machine.price,
                "parameters": found.parameters,
                "counted": _counted(recipe, found.keys),
                "tokens": found.tokens,
                "layers": found.keys["model.n_layers"],
                "width": found.keys["model.d_model"],
                "rows": found.keys["pretrain.batch"],
                "steps": found.keys["pretrain.steps"],
                "loss": found.loss,
                "warnings": found.warnings,
            }
        )
    shape = shape_of(recipe)
    return {
        "recipe": {
            "parameters": plan.parameters,
            "tokens": plan.tokens,
            "flops": plan.flops,
            "memory": plan.memory,
            "checkpoint": plan.checkpoint,
            "counted": size_in_law(shape),
            "expected": PUBLISHED.loss(size_in_law(shape), plan.tokens),
        },
        "mfu": USUAL_MFU,
        "rows": rows,
        "budgets": budgets,
        "ladder": [
            {
                "width": s.d_model,
                "layers": s.n_layers,
                "parameters": sum(sizes.parameters(s).values()),
                "counted": size_in_law(s),
            }
            for s in ladder(shape)
        ],
    }


def _counted(recipe: Any, keys: dict[str, Any]) -> float:
    shape = shape_of(recipe)
    model = {k.partition(".")[2]: v for k, v in keys.items() if k.startswith("model.")}
    return size_in_law(changed(shape, **model))


# ------------------------------------------------------------------- how well it is known
def noise() -> dict[str, Any]:
    """Nine runs of a known law with a little noise, fitted again and again."""
    grid = [(n, d) for n in (1e6, 3e6, 9e6) for d in (2e7, 6e7, 18e7)]
    far = (124e6, 10e9)
    truth = PUBLISHED.loss(*far)
    rows = []
    dice = np.random.default_rng(9)
    for sigma in (0.0, 0.003, 0.01):
        laws = []
        for _ in range(1 if sigma == 0 else 8):
            points = [
                (n, d, PUBLISHED.loss(n, d) + sigma * dice.standard_normal())
                for n, d in grid
            ]
            laws.append(fit(points))
        forecasts = [law.loss(*far) for law in laws]
        rows.append(
            {
                "sigma": sigma,
                "a": [min(law.a for law in laws), max(law.a for law in laws)],
                "b": [min(law.b for law in laws), max(law.b for law in laws)],
                "E": [min(law.E for law in laws), max(law.E for law in laws)],
                "forecast": [min(forecasts), max(forecasts)],
                "error": max(law.error for law in laws),
            }
        )
    return {"truth": truth, "far": far, "grid": grid, "rows": rows, "fits": 8}


# ---------------------------------------------------------------------------- a sweep
def sweep(lengths: tuple[int, ...]) -> dict[str, Any]:
    """Nine small runs on bytes of source code, and the law of all; of eight, as a test."""
    points, rows = [], []
    for width in (16, 32, 64):
        shape = changed(SHAPE, d_model=width, n_heads=1, n_kv_heads=1)
        for steps in lengths:
            config = changed(TRAIN, steps=steps)
            loss = run(trainer(config, shape))["loss"]
            tokens = steps * config.batch * shape.context_length
            points.append((size_in_law(shape), float(tokens), loss))
            rows.append({"width": width, "steps": steps, "loss": loss})
            print(width, steps, loss, flush=True)
    law = fit(points)
    rest = fit(points[:-1])
    n, d, loss = points[-1]
    curves = [
        {
            "width": width,
            "counted": points[3 * k][0],
            "points": [(p[1], p[2]) for p in points[3 * k : 3 * k + 3]],
            "law": [
                (t * d / 24, law.loss(points[3 * k][0], t * d / 24))
                for t in range(4, 49)
            ],
        }
        for k, width in enumerate((16, 32, 64))
    ]
    return {
        "law": law.table(),
        "rows": rows,
        "points": points,
        "curves": curves,
        "test": {"counted": n, "tokens": d, "loss": loss, "forecast": rest.loss(n, d)},
        "rest": rest.table(),
    }


if __name__ == "__main__":
    main()
