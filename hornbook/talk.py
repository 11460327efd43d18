"""Chat and completion in the terminal."""

import sys
from pathlib import Path
from typing import Any

import click

from hornbook.core.errors import UserError
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.infer.load import open_model
from hornbook.infer.speculate import NGramDrafter
from hornbook.stages import model_directory
from hornbook.tokenizer.base import load_tokenizer
from hornbook.tokenizer.chat import render_chat
from hornbook.train.backend import choose_device


def open_engine(
    path: Path,
    stage: str | None,
    device: str,
    weights: str = "float32",
    guess: bool = False,
) -> Engine:
    """The engine of a run or of a model directory, quantized or not.

    ``weights`` is "float32" or "bfloat16"; with ``guess`` the text's own repetitions are
    guessed ahead, which changes the speed alone.
    """
    if not path.is_dir():
        raise UserError(
            f"{path} is not a folder; name a run (runs/hello) or a model in it."
        )
    directory = model_directory(path, stage)
    if not (directory / "config.json").exists():
        what = (
            f"no trained model of the stage '{stage}'" if stage else "no trained model"
        )
        raise UserError(f"{path} holds {what} yet; `hornbook run` makes one.")
    model, codes = open_model(directory, weights)
    return Engine(
        model.to(choose_device(device)[0]),
        load_tokenizer(directory),
        codes=codes,
        drafter=NGramDrafter() if guess else None,
    )


def complete(
    path: Path,
    stage: str | None,
    prompt: str,
    sampling: SamplingConfig,
    device: str,
    **options: Any,
) -> None:
    """Print ``prompt`` and what the model makes of it, piece by piece.

    A run's pretrained model completes; the later ones were taught to answer.
    """
    base = stage or ("pretrain" if (path / "pretrain" / "model").is_dir() else None)
    engine = open_engine(path, base, device, **options)
    click.echo(prompt, nl=False)
    for piece in engine.stream(engine.tokenizer.encode(prompt), sampling):
        click.echo(piece, nl=False)
        sys.stdout.flush()
    click.echo()


def chat_in_terminal(
    path: Path,
    stage: str | None,
    system: str | None,
    sampling: SamplingConfig,
    device: str,
    **options: Any,
) -> None:
    """Take turns with the model until the input ends."""
    engine = open_engine(path, stage, device, **options)
    messages = [{"role": "system", "content": system}] if system else []
    interactive = sys.stdin.isatty()
    if interactive:
        click.secho(
            "Ctrl-D ends the chat, Ctrl-C an answer, /new begins again.", dim=True
        )
    while True:
        question = _ask(interactive)
        if question is None:
            return
        if question == "/new":
            del messages[1 if system else 0 :]
            continue
        if question:
            messages.append({"role": "user", "content": question})
            messages.append(
                {"role": "assistant", "content": _reply(engine, messages, sampling)}
            )


def _ask(interactive: bool) -> str | None:
    """The next line typed; None at the end of input."""
    if interactive:
        click.secho("you   ", fg="cyan", nl=False)
    try:
        return input().strip()
    except (EOFError, KeyboardInterrupt):
        if interactive:
            click.echo()
        return None


def _reply(
    engine: Engine, messages: list[dict[str, str]], sampling: SamplingConfig
) -> str:
    """Stream the model's answer to the terminal and return it."""
    prompt = _fitting_prompt(engine, messages)
    if sys.stdin.isatty():
        click.secho("model ", fg="green", nl=False)
    pieces: list[str] = []
    try:
        for piece in engine.stream(prompt, sampling):
            pieces.append(piece)
            click.echo(piece, nl=False)
            sys.stdout.flush()
    except KeyboardInterrupt:  # enough of this answer; what was said stays in the chat
        click.echo(" …", nl=False)
    click.echo()
    return "".join(pieces)


def _fitting_prompt(engine: Engine, messages: list[dict[str, str]]) -> list[int]:
    """The conversation as ids; its oldest questions go when the context is full.

    Three quarters of the context at most, so that there is room to answer. Dropped
    messages leave ``messages`` too, each with its answer.
    """
    room = engine.model.config.context_length * 3 // 4
    first = 1 if messages[0]["role"] == "system" else 0
    while True:
        prompt = render_chat(engine.tokenizer, messages, add_generation_prompt=True)
        if len(prompt.ids) <= room or len(messages) <= first + 2:
            return prompt.ids.tolist()
        del messages[first : first + 2]
        click.secho("(the oldest question is forgotten) ", dim=True, nl=False)
