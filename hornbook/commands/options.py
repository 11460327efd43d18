"""Arguments and options that several commands share."""

from pathlib import Path

import click

RUNS = click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="The folder that holds the runs.",
)
SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override any key of the recipe, e.g. --set pretrain.steps=100.",
)
DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."
)
MODEL = click.argument("model", type=click.Path(path_type=Path))
STAGE = click.option(
    "--stage", help="Which model of a run: pretrain, sft, dpo, grpo, ppo."
)
WEIGHTS = click.option(
    "--weights",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="How numbers are kept; bfloat16 is faster. (A quantized model says itself.)",
)
GUESS = click.option(
    "--guess", is_flag=True, help="Guess repetitions ahead: the same text, sooner."
)
JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")
