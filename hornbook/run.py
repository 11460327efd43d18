"""The whole way: run a recipe's stages one after the other and say what happens and why."""

from pathlib import Path
from typing import Any

import tomli_w
from rich.console import Console
from rich.text import Text

from hornbook.core.errors import UserError
from hornbook.core.files import write_text
from hornbook.core.progress import duration
from hornbook.core.settings import to_table
from hornbook.recipe import Recipe
from hornbook.pipeline import Plan, execute, locked, make_plan
from hornbook.stages import stages_of

console = Console(highlight=False)


def run_recipe(recipe: Recipe, runs: Path, device: str, until: str | None = None) -> Path:
    """Bring ``runs/NAME`` up to date with ``recipe``; returns that directory.

    Raises :class:`UserError` when a stage cannot do its work; what earlier stages published
    stays and is used by the next attempt.
    """
    run = runs / recipe.name
    with locked(run):
        stages = stages_of(recipe)
        plans = make_plan(recipe, _up_to(stages, until), run)
        write_text(run / "recipe.toml", tomli_w.dumps(_without_none(to_table(recipe))))
        due = [plan for plan in plans if plan.why]
        for plan in plans:
            if not plan.why:
                _say(plan.stage.name, "current")
                continue
            _say(plan.stage.name, plan.why, style="bold")
            manifest = execute(plan, recipe, run, device)
            _say("", _outcome(manifest), style="green")
        if until:
            return run
        finish(recipe, run, changed=bool(due))
    return run


def _up_to(stages: list[Stage], until: str | None) -> list[Stage]:
    names = [stage.name for stage in stages]
    if until is None:
        return stages
    if until not in names:
        raise UserError(f"--until {until}: this recipe's stages are {', '.join(names)}.")
    return stages[: names.index(until) + 1]


def _without_none(table: Any) -> Any:
    """TOML has no null: a key that is not set is left out."""
    if isinstance(table, dict):
        return {k: _without_none(v) for k, v in table.items() if v is not None}
    return [_without_none(v) for v in table] if isinstance(table, list) else table


def _say(name: str, what: str, style: str = "dim") -> None:
    console.print(Text(f"{name:10} ") + Text(what, style=style))


def _outcome(manifest: dict[str, Any]) -> str:
    return f"{duration(manifest['seconds'])}"
