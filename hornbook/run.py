"""The whole way: run a recipe's stages one after the other and say what happens and why."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
from rich.text import Text

from hornbook.core.errors import UserError
from hornbook.core.files import read_json, write_json, write_text
from hornbook.core.progress import duration
from hornbook.core.settings import to_table
from hornbook.pipeline import Plan, Stage, execute, locked, make_plan
from hornbook.recipe import Recipe
from hornbook.show import console, show_results
from hornbook.stages import stages_of
from hornbook.train.parallel.started import started_as_one_of_many


def run_recipe(
    recipe: Recipe, runs: Path, device: str, until: str | None = None
) -> Path:
    """Bring ``runs/NAME`` up to date with ``recipe``; returns that directory.

    Raises :class:`UserError` when a stage cannot do its work; what earlier stages published
    stays and is used by the next attempt.
    """
    run = runs / recipe.name
    crew = None
    if started_as_one_of_many():
        from hornbook.crew import assemble

        crew = assemble(recipe, device)
        if not crew.ranks.first:
            crew.follow(recipe, run, _up_to(stages_of(recipe), until))
            crew.leave()
            return run
    with locked(run):
        stages = stages_of(recipe)
        plans = make_plan(recipe, _up_to(stages, until), run)
        write_text(run / "recipe.toml", tomli_w.dumps(_without_none(to_table(recipe))))
        for plan in plans:
            if not plan.why:
                _say(plan.stage.name, "current")
            else:
                _say(plan.stage.name, plan.why, style="bold")
                led = replace(plan, stage=crew.led(plan.stage)) if crew else plan
                manifest = execute(led, recipe, run, device)
                _say("", _outcome(manifest), style="green")
            if crew:
                crew.past(plan.stage)
        if until:
            return run
        _finish(recipe, run, plans)
    return run


def _up_to(stages: list[Stage], until: str | None) -> list[Stage]:
    names = [stage.name for stage in stages]
    if until is None:
        return stages
    if until not in names:
        raise UserError(
            f"--until {until}: this recipe's stages are {', '.join(names)}."
        )
    return stages[: names.index(until) + 1]


def _without_none(table: Any) -> Any:
    """TOML has no null: a key that is not set is left out."""
    if isinstance(table, dict):
        return {k: _without_none(v) for k, v in table.items() if v is not None}
    return [_without_none(v) for v in table] if isinstance(table, list) else table


def _say(name: str, what: str, style: str = "dim") -> None:
    console.print(Text(f"{name:10} ") + Text(what, style=style))


def _outcome(manifest: dict[str, Any]) -> str:
    facts = manifest["facts"]
    told = [duration(manifest["seconds"])]
    if "documents_out" in facts:
        told.append(
            f"{facts['documents_out']:,} documents, {facts['bytes_out'] / 1e6:.2f} MB"
        )
    if "vocab_size" in facts:
        told.append(f"{facts['vocab_size']:,} tokens")
    if "backend" in facts:
        told.append(facts["backend"])
    return "done in " + ", ".join(told)


def _finish(recipe: Recipe, run: Path, plans: list[Plan]) -> None:
    """Write the report where it is not current, and show what came out."""
    basis = {plan.stage.name: plan.fingerprint for plan in plans}
    if not _report_is_current(run, basis):
        from hornbook.gather import gather
        from hornbook.report.build import write_report

        write_report(gather(recipe, run), run)
        write_json(run / ".report-basis.json", basis)
        _say("report", f"{run / 'report.pdf'}", style="green")
    elif not any(plan.why for plan in plans):
        console.print(f"{run} is up to date; there was nothing to do.", style="bold")
    show_results(run)


def _report_is_current(run: Path, basis: dict[str, str]) -> bool:
    noted = run / ".report-basis.json"
    there = all((run / name).exists() for name in ("report.pdf", "report.json"))
    return there and noted.exists() and read_json(noted) == basis
