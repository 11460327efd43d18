"""Commands for text: curate it, ask why it went, classify it."""

from pathlib import Path
from typing import Any

import click

from hornbook.commands.options import JSON, RUNS, SET


@click.command()
@click.argument("recipe")
@RUNS
@SET
@click.option("--until", metavar="STAGE", default="split", show_default=True)
@click.option(
    "--against",
    multiple=True,
    metavar="RUN",
    help="Drop what this earlier run has too; may be given several times.",
)
def curate(
    recipe: str,
    runs: Path,
    overrides: tuple[str, ...],
    until: str,
    against: tuple[str, ...],
) -> None:
    """Run only the data stages of RECIPE: from sources to documents, without a model."""
    from hornbook.recipe import load
    from hornbook.run import run_recipe
    from hornbook.show import show_funnel, write_funnel

    if against:
        overrides += (f"data.dedup.against={list(against)}",)
    run = run_recipe(load(recipe, overrides), runs, "cpu", until)
    show_funnel(run)
    write_funnel(run)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("document")
@JSON
def why(run: Path, document: str, as_json: bool) -> None:
    """Tell what every stage of RUN did with DOCUMENT: its path, or its id's beginning."""
    from hornbook.show import tell_why

    click.echo(tell_why(run, document, as_json))


@click.group()
def classifier() -> None:
    """Train and use classifiers of text: toxicity, quality, and one's own."""


@classifier.command("train")
@click.argument("labelled", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder for the model and its card.",
)
@click.option("--positive", default="", help="The label that means yes, if not 1.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=12, show_default=True)
@JSON
def train_one(labelled: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Train on LABELLED: a .jsonl or .csv file with the keys text and label.

    A fifth is held out and measured; the card tells how good the model is there.
    """
    from hornbook.data.classify.training import train_classifier
    from hornbook.show import show_card

    show_card(train_classifier(labelled, out, **options), as_json)


@classifier.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON record a line.")
def score(model: str, file: Path, as_json: bool) -> None:
    """Score every text of FILE (.jsonl or .csv) with MODEL: a folder, or toxicity."""
    from hornbook.show import show_scores

    show_scores(model, file, as_json)
