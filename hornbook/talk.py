"""Chat and completion in the terminal."""

import sys
from pathlib import Path

import click

from hornbook.core.errors import UserError
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.stages import model_directory
from hornbook.tokenizer.chat import render_chat
from hornbook.train.backend import choose_device
from hornbook.training import load


def open_engine(path: Path, stage: str | None, device: str) -> Engine:
    """The engine of a run or of a model directory."""
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
    model, tokenizer = load(directory)
    return Engine(model.to(choose_device(device)[0]), tokenizer)


def complete(
    path: Path, stage: str | None, prompt: str, sampling: SamplingConfig, device: str
) -> None:
    """Print ``prompt`` and what the model makes of it, piece by piece.

    A run's pretrained model completes; the later ones were taught to answer.
    """
    base = stage or ("pretrain" if (path / "pretrain" / "model").is_dir() else None)
    engine = open_engine(path, base, device)
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
) -> None:
    """Take turns with the model until the input ends."""
    engine = open_engine(path, stage, device)
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
    prompt = render_chat(engine.tokenizer, messages, add_generation_prompt=True)
    if sys.stdin.isatty():
        click.secho("model ", fg="green", nl=False)
    pieces: list[str] = []
    try:
        for piece in engine.stream(prompt.ids.tolist(), sampling):
            pieces.append(piece)
            click.echo(piece, nl=False)
            sys.stdout.flush()
    except KeyboardInterrupt:  # enough of this answer; what was said stays in the chat
        click.echo(" …", nl=False)
    click.echo()
    return "".join(pieces)
