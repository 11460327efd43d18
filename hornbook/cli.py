"""The command line: every command of Hornbook, each a few lines that call a room.

Heavy rooms are imported inside the commands, so that ``hornbook --help`` answers at once.
"""

import errno
import sys
from pathlib import Path
from typing import Any

import click

from hornbook import __version__
from hornbook.core.errors import UserError

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
STAGE = click.option("--stage", help="Which model of a run: pretrain, sft or dpo.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hornbook")
def commands() -> None:
    """Build a large language model from scratch: raw text in, a chat model out."""


@commands.command()
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


@commands.command()
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
    from hornbook.show import show_funnel

    if against:
        overrides += (f"data.dedup.against={list(against)}",)
    show_funnel(run_recipe(load(recipe, overrides), runs, "cpu", until))


@commands.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("document")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def why(run: Path, document: str, as_json: bool) -> None:
    """Tell what every stage of RUN did with DOCUMENT: its path, or its id's beginning."""
    from hornbook.show import tell_why

    click.echo(tell_why(run, document, as_json))


@commands.command()
@click.argument("model")
@SET
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--draw",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Draw the block as configured.",
)
def describe(
    model: str, overrides: tuple[str, ...], as_json: bool, draw: Path | None
) -> None:
    """Show MODEL on paper: shapes, parameters, operations, memory.

    MODEL is a recipe, a preset (gpt2-124m), or a directory with a config.json.
    """
    from hornbook.show import describe_model

    describe_model(model, overrides, as_json, draw)


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def presets(as_json: bool) -> None:
    """List the shapes of models that a recipe can start from, with their sizes."""
    from hornbook.show import show_presets

    show_presets(as_json)


@commands.command()
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
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
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


@commands.command(name="import")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    "path",
    type=click.Path(path_type=Path),
    help="Where to write the recipe.  [default: NAME.toml]",
)
@click.option("--text", help="The file or folder to learn from.")
def import_(directory: Path, path: Path | None, text: str | None) -> None:
    """Write a recipe that goes on training the model in DIRECTORY.

    DIRECTORY is what Transformers saves for GPT-2, Llama, Qwen2, Qwen3 or Mixtral. Its
    weights are safetensors; pickled ones are never opened.
    """
    from hornbook.start import write_import

    written = write_import(directory, path, text)
    click.echo(f"Wrote {written}. Look through it, then: hornbook run {written}")


@commands.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def verify(run: Path, as_json: bool) -> None:
    """Read every file of RUN again and compare it with the digest noted when it was made.

    Names each damaged file and what to do about it; the exit status is then 1.
    """
    from hornbook.show import show_verdict

    if not show_verdict(run, as_json):
        sys.exit(1)


PRICE = click.option(
    "--price", type=click.FloatRange(min=0), default=0.0, help="Dollars an hour."
)


@commands.command()
@click.argument("recipe")
@SET
@RUNS
@DEVICE
@click.option(
    "--on", "gpu", metavar="GPU", help="Plan for this GPU of the table: H100."
)
@click.option("--budget", help="Propose what to spend 10min, 2h or $20 on.")
@PRICE
@click.option(
    "--seconds", type=float, default=20.0, show_default=True, help="To probe."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def plan(
    recipe: str,
    overrides: tuple[str, ...],
    runs: Path,
    device: str,
    gpu: str | None,
    budget: str | None,
    **options: Any,
) -> None:
    """Say what the pretraining of RECIPE will need: memory, time, energy, money.

    Measured on this machine by a short probe, or taken from a table of GPUs.
    """
    from hornbook.recipe import load
    from hornbook.show_plan import show_budget, show_plan

    asked = load(recipe, overrides)
    if budget:
        show_budget(asked, budget, runs / asked.name, device, gpu, **options)
    else:
        show_plan(asked, device, gpu, **options)


@commands.command()
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


@commands.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--text", help="The file or folder to learn from.")
def new(path: Path, text: str | None) -> None:
    """Write a commented recipe to PATH, to start from."""
    from hornbook.recipe import write_new

    write_new(path, text)
    click.echo(f"Wrote {path}. Look through it, then: hornbook run {path}")


@commands.command()
def recipes() -> None:
    """List the recipes that come with Hornbook."""
    from hornbook.recipe import first_comment, shipped_recipes

    for name, path in shipped_recipes().items():
        click.echo(f"{name:14} {first_comment(path)}")


@commands.command()
@MODEL
@STAGE
@click.option("--system", help="Instructions the model gets before the conversation.")
@click.option(
    "--temperature", type=click.FloatRange(min=0), default=0.3, show_default=True
)
@click.option("--top-k", type=click.IntRange(min=0), default=50, show_default=True)
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=200, show_default=True
)
@click.option("--seed", type=int, default=0, show_default=True)
@WEIGHTS
@GUESS
@DEVICE
def chat(
    model: Path,
    stage: str | None,
    system: str | None,
    weights: str,
    guess: bool,
    device: str,
    **sampling: Any,
) -> None:
    """Talk to MODEL: a run (runs/hello) or a model directory. Ctrl-D ends it."""
    from hornbook.infer.config import SamplingConfig
    from hornbook.talk import chat_in_terminal

    settings = SamplingConfig(**sampling)
    chat_in_terminal(
        model, stage, system, settings, device, weights=weights, guess=guess
    )


@commands.command()
@MODEL
@STAGE
@click.option(
    "--prompt", default="", help="The text to go on from; - reads it from input."
)
@click.option(
    "--temperature", type=click.FloatRange(min=0), default=0.8, show_default=True
)
@click.option("--top-k", type=click.IntRange(min=0), default=0, help="0: no limit.")
@click.option("--top-p", type=click.FloatRange(0, 1), default=1.0, help="1: no limit.")
@click.option("--min-p", type=click.FloatRange(0, 1), default=0.0, help="0: no limit.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=200, show_default=True
)
@click.option(
    "--repetition-penalty",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    help="Above 1: what was said is less likely to come again.",
)
@click.option("--stop", multiple=True, help="Text to stop at; may be given often.")
@click.option(
    "--schema",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A JSON Schema that the text must fit.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@WEIGHTS
@GUESS
@DEVICE
def generate(
    model: Path,
    stage: str | None,
    prompt: str,
    schema: Path | None,
    weights: str,
    guess: bool,
    device: str,
    **sampling: Any,
) -> None:
    """Let MODEL, a run or a model directory, go on from a prompt."""
    from hornbook.core.files import read_json
    from hornbook.infer.config import SamplingConfig
    from hornbook.talk import complete

    text = sys.stdin.read() if prompt == "-" else prompt
    settings = SamplingConfig(**sampling, schema=read_json(schema) if schema else None)
    complete(model, stage, text, settings, device, weights=weights, guess=guess)


@commands.command()
@MODEL
@STAGE
@click.option("--bits", type=click.Choice(["8", "4"]), default="8", show_default=True)
@click.option(
    "--group", type=click.Choice(["32", "64"]), default="64", show_default=True
)
@click.option(
    "--method",
    type=click.Choice(["round", "gptq"]),
    default="round",
    show_default=True,
    help="gptq makes up for its own errors; it needs text.",
)
@click.option(
    "--on",
    "text",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Text to calibrate and measure on; else what the run has held out.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def quantize(
    model: Path, stage: str | None, bits: str, group: str, **options: Any
) -> None:
    """Keep MODEL's weights in 8 or 4 bits, and say what that costs."""
    from hornbook.deliver import quantize_directory

    quantize_directory(model, stage, int(bits), int(group), **options)


@commands.command()
@MODEL
@STAGE
@click.option("--to", type=click.Choice(["gguf", "onnx"]), required=True)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["f32", "f16", "bf16", "q8_0", "q4_0"]),
    default="f16",
    show_default=True,
    help="How GGUF keeps the weights.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The file to write.")
@click.option(
    "--verify", "check", is_flag=True, help="Open it in its own runtime and compare."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def export(model: Path, stage: str | None, **options: Any) -> None:
    """Write MODEL for llama.cpp (gguf) or ONNX Runtime (onnx).

    Its own directory is already what Transformers and vLLM read.
    """
    from hornbook.deliver import export_model

    export_model(model, stage, **options)


@commands.command()
@MODEL
@STAGE
@click.option(
    "--tasks", required=True, help="Names or .toml files, with commas between."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("benchmarks"),
    show_default=True,
    help="The folder that holds the benchmarks' files.",
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
@click.option("--out", type=click.Path(path_type=Path), help="Where the records go.")
@click.option("--unsafe", is_flag=True, help="Run programs without a whole sandbox.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
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
    from hornbook.show import show_benchmarks

    names = tuple(name.strip() for name in tasks.split(",") if name.strip())
    show_benchmarks(model, stage, names, device, out, as_json, **options)


@commands.command()
def tasks() -> None:
    """List the benchmarks that come with Hornbook."""
    from hornbook.evaluate.task import load_task, shipped_tasks

    for name in shipped_tasks():
        click.echo(f"{name:18} {load_task(name).about}")


@commands.command()
@click.argument("text")
@click.option(
    "--with",
    "directory",
    type=click.Path(path_type=Path),
    default=Path("runs/hello"),
    show_default=True,
    help="A run, or a folder with a tokenizer.json.",
)
def tokens(text: str, directory: Path) -> None:
    """Show TEXT split into tokens, in colours, with their ids; - reads it from input."""
    from hornbook.show import show_tokens

    show_tokens(sys.stdin.read() if text == "-" else text, directory)


@commands.group()
def tokenizer() -> None:
    """Look at tokenizers."""


@tokenizer.command()
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--on",
    "texts",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Text, JSON lines or documents to measure on; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(
    directories: tuple[Path, ...], texts: tuple[Path, ...], as_json: bool
) -> None:
    """Measure tokenizers (runs, or folders) side by side on the same texts."""
    from hornbook.show import show_tokenizers

    show_tokenizers(directories, texts, as_json)


@commands.group()
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
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
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


def main() -> None:
    """Entry point of the ``hornbook`` command: a user's mistakes end in one sentence."""
    try:
        commands(standalone_mode=False)
    except UserError as error:
        _stop(f"hornbook: {error}", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _stop(
            "\nStopped. What was finished is kept; the same command goes on from there.",
            130,
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(disk_full(error.filename), 1)


def disk_full(name: str | None) -> str:
    """The sentence for a disk without room."""
    where = f" while writing {name}" if name else ""
    return (
        f"hornbook: The disk is full{where}. Nothing half-written was kept as whole; "
        "free some room and run the same command again."
    )


def _stop(message: str, status: int) -> None:
    click.echo(message, err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
