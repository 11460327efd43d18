"""What each choice is worth: one setting changed at a time, the same budget, several seeds.

``ablate`` trains the recipe's model as it is and with every other value of the settings
asked for, all on the same tokens in the same order, and compares the held-out losses. A
seed changes the first weights and the order of the data; variants of one seed share both,
so that their *differences* are known better than the losses themselves.
Reading order: :func:`variants`, :func:`ablate`, :func:`summarise`.
"""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import torch
from rich.table import Table

from hornbook.core.errors import UserError
from hornbook.core.files import write_json
from hornbook.core.progress import short_number
from hornbook.core.settings import to_table
from hornbook.model.config import ModelConfig
from hornbook.pipeline import (
    Plan,
    Stage,
    Task,
    execute,
    locked,
    make_plan,
    read_manifest,
)
from hornbook.recipe import Recipe, SamplesConfig, check, parse_value
from hornbook.run import run_recipe
from hornbook.show import console
from hornbook.stages import PRETRAIN, stages_of

# Student's t, two-sided 95 %, for 1, 2, ... degrees of freedom; beyond, nearly normal.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
METRIC = "validation_bits_per_byte"


@dataclass(frozen=True)
class Variant:
    """A model to train: ``change`` in words (empty for the recipe's own) and the recipe."""

    change: str
    recipe: Recipe


def variants(recipe: Recipe, over: str) -> list[Variant]:
    """The recipe itself, then one variant for every other value of each setting of ``over``.

    ``over`` lists settings of ``[model]`` by comma. One with a list of its own (``norm``,
    ``qk_norm``) is tried with all of it, others with the values given:
    ``n_kv_heads=1:2``. Raises :class:`UserError` for what can't be varied, or built.
    """
    found = [Variant("", recipe)]
    for part in filter(None, over.split(",")):
        key, _, given = part.strip().partition("=")
        for value in _values(key, given):
            if getattr(recipe.model, key) == value:
                continue
            table = to_table(recipe.model) | {key: value}
            try:
                model = msgspec.convert(table, ModelConfig)
            except msgspec.ValidationError as error:
                raise UserError(f"--over {part}: {error}.") from None
            changed = msgspec.structs.replace(recipe, model=model)
            check(changed, f"--over {key}={value}")
            found.append(Variant(f"{key}={value}", changed))
    if len(found) == 1:
        raise UserError(f"--over {over}: nothing there differs from the recipe.")
    return found


def _values(key: str, given: str) -> Sequence[Any]:
    """What to try for one setting."""
    kinds = get_type_hints(ModelConfig)
    if key not in kinds:
        raise UserError(f"--over {key}: [model] has no such setting.")
    if given:
        return [parse_value(value) for value in given.split(":")]
    if get_origin(kinds[key]) is Literal:
        return get_args(kinds[key])
    if kinds[key] is bool:
        return (False, True)
    raise UserError(f"--over {key}: say which values to try, as in {key}=1:2.")


def ablate(
    recipe: Recipe, over: str, seeds: int, runs: Path, device: str, as_json: bool
) -> dict[str, Any]:
    """Train every variant with ``seeds`` seeds below ``runs/NAME/ablate``, and compare them.

    What was trained before is not trained again; what was cut off goes on. The result is
    also in ``runs/NAME/ablation.json``.
    """
    tried = variants(recipe, over)
    run = run_recipe(recipe, runs, device, until="shards")
    stages = {
        (variant.change, seed): _stage(variant, recipe.seed + seed)
        for variant in tried
        for seed in range(seeds)
    }
    before = stages_of(recipe)
    before = before[: [stage.name for stage in before].index("pretrain")]
    with locked(run):
        plans = make_plan(recipe, [*before, *stages.values()], run)
        for number, plan in enumerate(plans[len(before) :], start=1):
            _bring_up_to_date(plan, recipe, run, device, f"{number} of {len(stages)}")
    facts: dict[str, list[dict[str, Any]]] = {}
    for (change, _), stage in stages.items():
        manifest = read_manifest(run, stage.name)
        assert manifest is not None
        seconds = {"seconds": manifest["seconds"]}
        facts.setdefault(change, []).append(manifest["facts"] | seconds)
    result = {
        "recipe": recipe.name,
        "over": over,
        "steps": recipe.pretrain.steps,
        "seeds": seeds,
        "metric": "held-out bits per byte",
        "variants": [summarise(change, facts) for change in facts],
    }
    write_json(run / "ablation.json", result)
    if as_json:
        console.print_json(msgspec.json.encode(result).decode())
    else:
        console.print(render(result))
    return result


def _bring_up_to_date(
    plan: Plan, recipe: Recipe, run: Path, device: str, count: str
) -> None:
    if plan.why:
        name = plan.stage.name.removeprefix("ablate/")
        console.print(f"{count}: {name} ({plan.why})", style="bold")
        (run / plan.stage.name).parent.mkdir(exist_ok=True)
        execute(plan, recipe, run, device)


def _stage(variant: Variant, seed: int) -> Stage:
    """One training of one variant, as a stage of its own."""
    recipe = variant.recipe
    train = msgspec.structs.replace(recipe.pretrain, validate_every=0, sample_every=0)
    recipe = msgspec.structs.replace(
        recipe, seed=seed, pretrain=train, samples=SamplesConfig()
    )
    return replace(
        PRETRAIN,
        name=f"ablate/{variant.change or 'as it is'}, seed {seed}",
        settings=lambda _: PRETRAIN.settings(recipe),
        work=lambda task: _train(replace(task, recipe=recipe)),
    )


def _train(task: Task) -> dict[str, Any]:
    """Pretrain; keep the numbers, not the weights. A loss that runs away is a result too."""
    from hornbook.train.metrics import read_metrics
    from hornbook.training import pretrain

    torch.compiler.reset()  # else the compiler gives up after a few models of one code
    try:
        facts = pretrain(task)
    except UserError as error:
        return {"failed": str(error)}
    shutil.rmtree(task.out / "model")
    diary = read_metrics(task.out / "metrics.jsonl")
    speeds = sorted(r["tokens_per_second"] for r in diary if "tokens_per_second" in r)
    return {
        METRIC: next(r[METRIC] for r in reversed(diary) if METRIC in r),
        "tokens_per_second": speeds[len(speeds) // 2],
        "parameters": sum(facts["parameters"].values()),
        "flops_per_token": facts["flops_per_token"],
        "tokens": facts["tokens"],
        "backend": facts["backend"],
    }


# ---------------------------------------------------------------------------- the numbers


def summarise(change: str, facts: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """One variant's losses, their mean and its interval, and the same of the differences.

    ``facts`` maps every change to what its seeds gave; the differences are to the
    unchanged model of the same seed. A variant of which a seed failed has no mean.
    """
    mine, base = facts[change], facts[""]
    known: dict[str, Any] = {"change": change}
    failures = [f["failed"] for f in mine if "failed" in f]
    if failures:
        return known | {"failed": failures[0], "failures": len(failures)}
    losses = [f[METRIC] for f in mine]
    known |= {k: mine[0][k] for k in ("parameters", "flops_per_token", "tokens")}
    known["tokens_per_second"] = sorted(f["tokens_per_second"] for f in mine)[
        len(mine) // 2
    ]
    known["seconds"] = [f["seconds"] for f in mine]
    known |= {"losses": losses, "mean": _mean(losses), "interval": interval(losses)}
    if change and not any("failed" in f for f in base):
        pairs = zip(losses, base, strict=True)
        differences = [loss - other[METRIC] for loss, other in pairs]
        known["difference"] = _mean(differences)
        known["difference_interval"] = interval(differences)
    return known


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean of at least two values (Student 1908)."""
    n, mean = len(values), _mean(values)
    variance = sum((value - mean) ** 2 for value in values) / (n - 1)
    t = T95[n - 2] if n - 2 < len(T95) else 1.96 + 2.5 / (n - 1)
    reach = t * math.sqrt(variance / n)
    return mean - reach, mean + reach


def render(result: dict[str, Any]) -> Table:
    """The comparison as a table, best first; intervals are 95 %."""
    title = (
        f"{result['metric']}, {result['seeds']} seeds, {result['steps']:,} steps each"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("variant", no_wrap=True)
    for column in (
        "parameters",
        "bits per byte",
        "against the recipe's own",
        "tokens/s",
    ):
        table.add_column(column, justify="right")
    ranked = sorted(result["variants"], key=lambda v: v.get("mean", math.inf))
    for known in ranked:
        name = known["change"] or "as it is"
        if "failed" in known:
            table.add_row(name, "", f"{known['failures']} failed", known["failed"], "")
            continue
        table.add_row(
            name,
            f"{known['parameters']:,}",
            _plus_minus(known["mean"], known["interval"]),
            _verdict(known),
            short_number(known["tokens_per_second"]),
        )
    return table


def _plus_minus(mean: float, bounds: Sequence[float], sign: str = "") -> str:
    return f"{mean:{sign}.4f} ± {(bounds[1] - bounds[0]) / 2:.4f}"


def _verdict(known: dict[str, Any]) -> str:
    if "difference" not in known:
        return ""
    low, high = known["difference_interval"]
    word = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
    return f"{_plus_minus(known['difference'], (low, high), '+')}, {word}"
