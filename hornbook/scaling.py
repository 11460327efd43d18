"""`hornbook scale`: small runs of several sizes and lengths, and the law they obey."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec

from hornbook.core.errors import UserError
from hornbook.core.files import fresh_directory, read_json, write_json, write_text
from hornbook.model.config import ModelConfig
from hornbook.planning import ladder, shape_of, size_in_law
from hornbook.recipe import Recipe
from hornbook.train.config import TrainConfig
from hornbook.train.plot import law_svg
from hornbook.train.scaling import Law, fit

SIZES, LENGTHS = 3, 3
SPAN = 4.0  # the longest runs of a size see so many times the tokens of the shortest


def scale(recipe: Recipe, run: Path, seconds: float, device: str) -> Law:
    """Make the sweep for about ``seconds``, fit its law and leave both in ``run/scale``.

    Runs that are done are not made again. Raises :class:`UserError` without shards, or for
    a budget too small for the runs to say anything.
    """
    if not (run / "shards" / "manifest.json").exists():
        raise UserError(
            f"{run} has no shards yet; `hornbook run --until shards` makes them."
        )
    out = run / "scale"
    out.mkdir(exist_ok=True)
    points = []
    for shape, train in sweep(recipe, seconds, device):
        name = f"{shape.d_model}x{shape.n_layers}-{train.steps}"
        path = out / f"{name}.json"
        basis = json.loads(msgspec.json.encode([shape, train]))
        done = read_json(path) if path.exists() else {}
        if done.get("basis") != basis:
            loss = _loss(recipe, run, shape, train, out / name, device)
            tokens = train.steps * train.batch * shape.context_length
            done = {"basis": basis, "point": [size_in_law(shape), tokens, loss]}
            write_json(path, done)
        points.append(tuple(done["point"]))
    law = fit(points)
    write_json(out / "law.json", {"law": law.table(), "points": points})
    write_text(out / "law.svg", law_svg(law, points))
    return law


def sweep(
    recipe: Recipe, seconds: float, device: str
) -> list[tuple[ModelConfig, TrainConfig]]:
    """Shapes and lengths that together take about ``seconds`` here.

    Every size gets the same share of the time, its lengths a ratio of ``SPAN`` from the
    shortest to the longest, about twenty tokens to a parameter in the middle.
    """
    from hornbook.train.probe import probe

    shapes = ladder(shape_of(recipe))
    quick = msgspec.structs.replace(
        recipe.pretrain,
        compile="no",
        checkpoint_every=0,
        validate_every=0,
        sample_every=0,
    )
    speed = probe(shapes[2], quick, device, min(5.0, seconds / 10)).flops_per_second
    ratios = [SPAN ** (n / (LENGTHS - 1)) for n in range(LENGTHS)]
    share = seconds / SIZES * speed / sum(ratios)  # operations of a size's shortest run
    middle = math.sqrt(share * math.sqrt(SPAN) / 6 / 20)
    near = min(
        range(len(shapes)), key=lambda i: abs(size_in_law(shapes[i]) / middle - 1)
    )
    first = min(max(near - 1, 0), len(shapes) - SIZES)
    runs = []
    for shape in shapes[first : first + SIZES]:
        for ratio in ratios:
            tokens = share * ratio / (6 * size_in_law(shape))
            steps = round(tokens / quick.batch / shape.context_length)
            if steps < 10:
                raise UserError(
                    f"{seconds:.0f} s are too little for a sweep: a run of {shape.d_model} "
                    f"wide would take {steps} steps; give more, or lower 'pretrain.batch'."
                )
            runs.append((shape, msgspec.structs.replace(quick, steps=steps)))
    return runs


def _loss(
    recipe: Recipe,
    run: Path,
    shape: ModelConfig,
    train: TrainConfig,
    directory: Path,
    device: str,
) -> float:
    """The held-out loss of one run of the sweep; its files are removed afterwards."""
    import shutil

    from hornbook.pipeline import Task
    from hornbook.train.metrics import read_metrics
    from hornbook.training import pretrain

    small = msgspec.structs.replace(recipe, model=shape, pretrain=train)
    fresh_directory(directory)
    pretrain(Task(small, directory, run, device))
    found: list[dict[str, Any]] = read_metrics(directory / "metrics.jsonl")
    shutil.rmtree(directory)
    return [r["validation_loss"] for r in found if "validation_loss" in r][-1]
