"""Commands for a whole recipe: run it, plan it, vary it, check what it left."""

import sys
from pathlib import Path
from typing import Any

import click

from hornbook.commands.options import DEVICE, JSON, RUNS, SET


@click.command()
@click.argument("recipe")
@RUNS
@SET
@DEVICE
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
def run(
    recipe: str, runs: Path, overrides: tuple[str, ...], device: str, until: str | None
) -> None:
    """Run RECIPE: the name of one that comes with Hornbook, or a .toml file of yours.

    Stages that are done and current are skipped, one that was cut off goes on, and those a
    change invalidates are redone.
    """
    from hornbook.recipe import load
    from hornbook.run import run_recipe

    run_recipe(load(recipe, overrides), runs, device, until)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--text", help="The file or folder to learn from.")
def new(path: Path, text: str | None) -> None:
    """Write a commented recipe to PATH, to start from."""
    from hornbook.recipe import write_new

    write_new(path, text)
    click.echo(f"Wrote {path}. Look through it, then: hornbook run {path}")


@click.command()
def recipes() -> None:
    """List the recipes that come with Hornbook."""
    from hornbook.recipe import first_comment, shipped_recipes

    for name, path in shipped_recipes().items():
        click.echo(f"{name:14} {first_comment(path)}")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@JSON
def verify(run: Path, as_json: bool) -> None:
    """Read every file of RUN again and compare it with the digest noted when it was made.

    Names each damaged file and what to do about it; the exit status is then 1.
    """
    from hornbook.show import show_verdict

    if not show_verdict(run, as_json):
        sys.exit(1)


@click.command()
@click.argument("recipe")
@click.option(
    "--over",
    required=True,
    metavar="KEY,KEY=A:B",
    help="Settings of [model] to vary, e.g. norm,position,n_kv_heads=1:2.",
)
@click.option("--seeds", type=click.IntRange(min=2), default=3, show_default=True)
@RUNS
@SET
@DEVICE
@JSON
def ablate(
    recipe: str,
    over: str,
    seeds: int,
    runs: Path,
    overrides: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Train RECIPE's model with one setting changed at a time, and compare the losses.

    Every variant gets the recipe's steps and data, with several seeds each.
    """
    from hornbook.ablate import ablate as run_ablation
    from hornbook.recipe import load

    run_ablation(load(recipe, overrides), over, seeds, runs, device, as_json)


PRICE = click.option(
    "--price", type=click.FloatRange(min=0), default=0.0, help="Dollars an hour."
)


@click.command()
@click.argument("recipe")
@SET
@RUNS
@DEVICE
@click.option(
    "--on", "gpu", metavar="GPU", help="Plan for this GPU of the table: H100."
)
@click.option("--gpus", type=click.IntRange(min=1), help="Plan for so many of them.")
@click.option("--budget", help="Propose what to spend 10min, 2h or $20 on.")
@PRICE
@click.option(
    "--seconds", type=float, default=20.0, show_default=True, help="To probe."
)
@JSON
def plan(
    recipe: str,
    overrides: tuple[str, ...],
    runs: Path,
    device: str,
    gpu: str | None,
    gpus: int | None,
    budget: str | None,
    **options: Any,
) -> None:
    """Say what the pretraining of RECIPE will need: memory, time, energy, money.

    Measured on this machine by a short probe, or taken from a table of GPUs; with --gpus
    reckoned for a cluster of them, with the layout that should be fastest.
    """
    from hornbook.recipe import load
    from hornbook.show_plan import show_budget, show_plan

    asked = load(recipe, overrides)
    if gpus:
        from hornbook.show_cluster import show_cluster

        show_cluster(asked, gpus, gpu, options["price"], options["as_json"])
    elif budget:
        show_budget(asked, budget, runs / asked.name, device, gpu, **options)
    else:
        show_plan(asked, device, gpu, **options)


@click.command()
@click.argument("recipe")
@SET
@RUNS
@DEVICE
@click.option("--budget", default="10min", show_default=True, help="Time for all runs.")
def scale(
    recipe: str, overrides: tuple[str, ...], runs: Path, device: str, budget: str
) -> None:
    """Fit a scaling law to small trainings on RECIPE's text, for `plan --budget` to use."""
    from hornbook.recipe import load
    from hornbook.show_plan import show_scale

    show_scale(load(recipe, overrides), runs, device, budget)
