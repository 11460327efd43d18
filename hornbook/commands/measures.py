"""Commands that measure a model on benchmarks."""

from pathlib import Path
from typing import Any

import click

from hornbook.commands.options import DEVICE, JSON, MODEL, STAGE


@click.command()
@MODEL
@STAGE
@click.option(
    "--tasks", required=True, help="Names or .toml files, with commas between."
)
@click.option(
    "--data",
    default="benchmarks",
    show_default=True,
    help="The folder that holds the benchmarks' files, or hub:OWNER/NAME.",
)
@click.option(
    "--shots", type=click.IntRange(min=0), help="Worked examples before each."
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=0, help="Only so many items."
)
@click.option(
    "--protocol",
    type=click.Choice(["published", "lm-eval"]),
    default="published",
    show_default=True,
    help="How many worked examples: as in published numbers, or lm-eval's defaults.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1,
    help="Programs for each problem, for pass@k; a single one is greedy.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    default=0.8,
    show_default=True,
    help="At which several programs are sampled.",
)
@click.option(
    "--contamination",
    is_flag=True,
    help="Tell items apart that the run's training text holds.",
)
@click.option("--chat", is_flag=True, help="Put each question as a user's turn.")
@click.option(
    "--reward",
    type=click.Path(path_type=Path, exists=True),
    help="The run whose reward model judges the task chat.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where the records go.")
@click.option("--unsafe", is_flag=True, help="Run programs without a whole sandbox.")
@JSON
@DEVICE
def evaluate(
    model: Path,
    stage: str | None,
    tasks: str,
    device: str,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure MODEL, a run or a model directory, on benchmarks; `hornbook tasks` lists them.

    Every item's record is kept, so that the same command goes on after an interruption.
    """
    from hornbook.show_benchmarks import show_benchmarks

    names = tuple(name.strip() for name in tasks.split(",") if name.strip())
    show_benchmarks(model, stage, names, device, out, as_json, **options)


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@JSON
def compare(a: Path, b: Path, as_json: bool) -> None:
    """Compare two evaluated models, A and B, on the questions that both were asked.

    Says whether their difference could be luck, which items flipped, and how many more
    items would tell them apart.
    """
    from hornbook.show_benchmarks import show_comparison

    show_comparison(a, b, as_json)


@click.command()
def tasks() -> None:
    """List the benchmarks that come with Hornbook."""
    from hornbook.evaluate.task import load_task, shipped_tasks

    for name in shipped_tasks():
        click.echo(f"{name:18} {load_task(name).about}")
