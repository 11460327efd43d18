"""Showing what a training will cost, what a budget is best spent on, and a law just fitted."""

from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from hornbook.core.errors import UserError
from hornbook.core.progress import duration, short_number
from hornbook.planning import Outlook, budget_outlook, look_ahead, parse_budget
from hornbook.recipe import Recipe
from hornbook.show import console


def show_plan(
    recipe: Recipe,
    device: str,
    gpu: str | None,
    price: float,
    seconds: float,
    as_json: bool,
) -> None:
    """What the pretraining of ``recipe`` needs, on paper and by a probe."""
    outlook = look_ahead(recipe, device, gpu, price, seconds)
    if as_json:
        console.print_json(msgspec.json.encode(outlook).decode())
        return
    console.print(plan_table(outlook))
    for key, value in outlook.changes.items():
        text = str(value).lower() if isinstance(value, bool) else value
        console.print(Text(f"To fit: --set pretrain.{key}={text}", style="yellow"))
    if not outlook.fits:
        console.print(
            Text(
                "Even so it does not fit: take a smaller model or context, or a device "
                "with more memory.",
                style="bold red",
            )
        )


def plan_table(outlook: Outlook) -> Table:
    """The outlook in rows."""
    plan, cost = outlook.plan, outlook.cost
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()

    def row(name: str, text: str) -> None:
        table.add_row(name, Text(text))

    row("parameters", short_number(plan.parameters))
    row("tokens", short_number(plan.tokens))
    row("operations", short_number(plan.flops / 1e12) + " TFLOP")
    for name, size in plan.memory.items():
        row(f"  {name}", f"{size / 1e9:8.2f} GB")
    room = outlook.machine.memory / 1e9
    verdict = "fits" if outlook.fits else "does not fit"
    row("memory", f"{plan.total_memory / 1e9:8.2f} GB of {room:.0f} GB: {verdict}")
    row("a checkpoint", f"{plan.checkpoint / 1e9:8.2f} GB")
    row("on", f"{outlook.machine.name}, {outlook.how}")
    row("speed", f"{short_number(cost.tokens_per_second)} tokens/s")
    row("time", long_duration(cost.seconds))
    row("energy", f"{short_number(cost.kwh)} kWh at {outlook.machine.watts:.0f} W")
    row("money", f"${cost.dollars:,.2f}" if cost.dollars else "not known; give --price")
    return table


def show_budget(
    recipe: Recipe,
    budget: str,
    run: Path,
    device: str,
    gpu: str | None,
    price: float,
    seconds: float,
    as_json: bool,
) -> None:
    """What to set so that ``budget`` buys the lowest loss."""
    proposal, how = budget_outlook(recipe, budget, run, device, gpu, price, seconds)
    if as_json:
        console.print_json(msgspec.json.encode(proposal).decode())
        return
    size, tokens = short_number(proposal.parameters), short_number(proposal.tokens)
    console.print(f"{budget} ({how}):")
    console.print(
        f"{size} parameters, {tokens} tokens, {proposal.loss:.2f} nats a token expected",
        style="bold",
    )
    sets: list[Any] = [f"--set {key}={value}" for key, value in proposal.keys.items()]
    console.print(Text("  " + "\n  ".join(sets)))
    for warning in proposal.warnings:
        console.print(Text(warning, style="yellow"))


def show_scale(recipe: Recipe, runs: Path, device: str, budget: str) -> None:
    """Bring the shards up to date, make the sweep, and show the law."""
    from hornbook.run import run_recipe
    from hornbook.scaling import scale

    kind, seconds = parse_budget(budget)
    if kind != "seconds":
        raise UserError("The budget of a sweep is a time, like 10min.")
    run = run_recipe(recipe, runs, device, until="shards")
    law = scale(recipe, run, seconds, device)
    console.print(
        f"L(N, D) = {law.E:.3f} + {law.A:.4g} / N^{law.a:.3f} + {law.B:.4g} / D^{law.b:.3f}",
        style="bold",
    )
    console.print(
        f"off by {law.error:.3f} nats; runs, law and picture are in {run / 'scale'}"
    )


def long_duration(seconds: float) -> str:
    """:func:`duration`, in days from two of them on."""
    days = seconds / 86400
    return f"{days:,.1f} days" if days >= 2 else duration(seconds)
