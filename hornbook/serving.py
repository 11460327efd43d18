"""``hornbook serve``: opens runs and models, and lets the server answer for them."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from hornbook.core.errors import UserError
from hornbook.stages import CURATION, TRAINED, model_directory

KEY = "HORNBOOK_API_KEY"


def serve_models(
    paths: tuple[Path, ...],
    stage: str | None,
    host: str,
    port: int,
    keys: tuple[str, ...],
    device: str,
    weights: str,
    guess: bool,
    **limits: int,
) -> None:
    """Serve the models of ``paths``, runs or model directories, until told to end."""
    try:
        from hornbook.serve.app import create_app
        from hornbook.serve.server import listen, serve
    except ModuleNotFoundError as error:
        raise UserError(
            f"Serving needs {error.name}: pip install 'hornbook[serve]'."
        ) from None
    from hornbook.serve.config import Limits
    from hornbook.serve.gate import LOOPBACK
    from hornbook.serve.look.runs import Runs, run_of
    from hornbook.serve.meters import Meters
    from hornbook.serve.service import Service
    from hornbook.serve.worker import Worker

    asked = Limits(**limits)
    openers = openers_of(paths, stage, device, weights, guess)
    keys = keys or tuple(key for key in (os.environ.get(KEY, ""),) if key)
    if not _is_loopback(host) and not keys:
        click.echo(
            f"Anyone who reaches {host} can use this server; --api-key asks for one."
        )
    meters = Meters()
    worker = Worker(openers, asked.waiting, meters)
    service = Service(worker, asked, meters)
    hosts = LOOPBACK if _is_loopback(host) else ()
    listener = listen(host, port)

    def say(address: str) -> None:
        what = ", ".join(openers) or "a page to look at, for nothing is trained yet,"
        click.echo(f"Serving {what} at {address}; Ctrl-C ends it.")

    found = dict.fromkeys(run for path in paths if (run := run_of(path)))
    runs = Runs(list(found), (*CURATION, "tokenizer", "shards", *TRAINED, "evaluate"))
    app = create_app(service, keys, hosts, runs, CURATION)
    serve(app, worker, listener, asked.drain_seconds, say)


def openers_of(
    paths: tuple[Path, ...], stage: str | None, device: str, weights: str, guess: bool
) -> dict[str, Callable]:
    """What opens the engine of each model, by the name it is served under.

    A run under way that has no model yet is left out: there is still its page.
    """
    from hornbook.serve.look.runs import run_of

    openers: dict[str, Callable] = {}
    for path in paths:
        if not path.is_dir():
            raise UserError(
                f"{path} is not a folder; name a run (runs/hello) or a model in it."
            )
        name = name_of(path)
        if name in openers:
            raise UserError(f"Two of the models would be called '{name}'.")
        if _is_trained(path, stage) or not run_of(path):
            openers[name] = partial(_open, path, stage, device, weights, guess)
    return openers


def _is_trained(path: Path, stage: str | None) -> bool:
    return (model_directory(path, stage) / "config.json").exists()


def name_of(path: Path) -> str:
    """A run's own name; of a model in a run, ``RUN-STAGE``."""
    path = path.resolve()
    if path.name == "model" and (path.parent / "manifest.json").exists():
        return f"{path.parent.parent.name}-{path.parent.name}"
    return path.name


def _open(path: Path, stage: str | None, *options: object) -> object:
    from hornbook.talk import open_engine

    device, weights, guess = options
    return open_engine(path, stage, str(device), str(weights), bool(guess))


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
