"""Commands for a model: look at it, talk to it, hand it on."""

import sys
from pathlib import Path
from typing import Any

import click

from hornbook.commands.options import DEVICE, GUESS, JSON, MODEL, SET, STAGE, WEIGHTS


@click.command()
@click.argument("model")
@SET
@JSON
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


@click.command()
@JSON
def presets(as_json: bool) -> None:
    """List the shapes of models that a recipe can start from, with their sizes."""
    from hornbook.show import show_presets

    show_presets(as_json)


@click.command(name="import")
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


@click.command()
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


@click.command()
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


@click.command()
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
@JSON
def quantize(
    model: Path, stage: str | None, bits: str, group: str, **options: Any
) -> None:
    """Keep MODEL's weights in 8 or 4 bits, and say what that costs."""
    from hornbook.deliver import quantize_directory

    quantize_directory(model, stage, int(bits), int(group), **options)


@click.command()
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
@JSON
def export(model: Path, stage: str | None, **options: Any) -> None:
    """Write MODEL for llama.cpp (gguf) or ONNX Runtime (onnx).

    Its own directory is already what Transformers and vLLM read.
    """
    from hornbook.deliver import export_model

    export_model(model, stage, **options)


@click.command()
@click.argument(
    "models",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODEL...",
)
@STAGE
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option(
    "--api-key",
    "keys",
    multiple=True,
    help="Ask for a key; may be given several times. Better: HORNBOOK_API_KEY.",
)
@click.option(
    "--max-waiting",
    "waiting",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Texts being written or waiting; beyond that, 429.",
)
@click.option(
    "--max-body",
    "body_bytes",
    type=click.IntRange(min=1),
    default=1 << 20,
    show_default=True,
)
@click.option(
    "--drain-seconds",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="To finish what is being written when told to end.",
)
@WEIGHTS
@GUESS
@DEVICE
def serve(models: tuple[Path, ...], stage: str | None, **options: Any) -> None:
    """Serve each MODEL, a run or a model directory, over OpenAI's API, with a page to see."""
    from hornbook.serving import serve_models

    serve_models(models, stage, **options)
