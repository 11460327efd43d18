"""Checkpoints: a model directory that Transformers opens, plus what training needs to go on.

    step-00000500/
        model.safetensors config.json tokenizer.json ...   written by the caller
        optimizer.safetensors                              every optimizer state, by name
        trainer.json                                       the guard's and the scaler's state
        training.json                                      step, and SHA-256 of every file

A checkpoint is written under another name, synced and renamed when it is whole; ``latest``
trusts nothing whose digests don't agree. Nothing is pickled. When to save and what to keep
is decided in saves.py.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import Optimizer

from hornbook.core.errors import UserError
from hornbook.core.files import (
    fresh_directory,
    publish_directory,
    read_json,
    sha256,
    write_json,
)


def write(
    directory: Path,
    step: int,
    write_model: Callable[[Path], None],
    optimizer: dict[str, torch.Tensor],
    state: dict[str, Any],
) -> Path:
    """Publish the checkpoint of ``step`` below ``directory``.

    ``optimizer`` is what :func:`optimizer_tensors` gave, ``state`` a JSON object. Raises
    OSError when the disk is full.
    """
    final = directory / f"step-{step:08d}"
    temporary = fresh_directory(directory / f"{final.name}.partial")
    write_model(temporary)
    try:
        save_file(optimizer, temporary / "optimizer.safetensors")
    except SafetensorError as error:  # it wraps the system's error in words
        if "No space left" in str(error):
            path = str(temporary / "optimizer.safetensors")
            raise OSError(errno.ENOSPC, "No space left on device", path) from None
        raise
    write_json(temporary / "trainer.json", state)
    paths = sorted(path for path in temporary.rglob("*") if path.is_file())
    files = {path.relative_to(temporary).as_posix(): sha256(path) for path in paths}
    write_json(temporary / "training.json", {"step": step, "files": files})
    publish_directory(temporary, final)
    return final


def checkpoints(directory: Path) -> list[Path]:
    """Published checkpoints below ``directory``, oldest first."""
    return sorted(
        path
        for path in directory.glob("step-*")
        if path.name.removeprefix("step-").isdigit()
    )


def step_of(checkpoint: Path) -> int:
    """How many steps were done when ``checkpoint`` was written."""
    return int(checkpoint.name.removeprefix("step-"))


def latest(directory: Path) -> Path | None:
    """The newest checkpoint whose files are all there and undamaged."""
    return next((p for p in reversed(checkpoints(directory)) if is_sound(p)), None)


def is_sound(checkpoint: Path) -> bool:
    """Whether every file of ``checkpoint`` has the digest noted when it was written."""
    return not damage(checkpoint)


def damage(checkpoint: Path, share: int = 0, shares: int = 1) -> list[tuple[Path, str]]:
    """The files of ``checkpoint`` that aren't right, each with what is wrong; none: sound.

    Of several ``shares``, who looks reads one file in so many.
    """
    index = checkpoint / "training.json"
    try:
        noted = read_json(index)
        files, step = dict(noted["files"]), int(noted["step"])
    except (UserError, KeyError, TypeError, ValueError):
        return [(index, "is missing or damaged")]
    found = []
    if checkpoint.name.startswith("step-") and step != step_of(checkpoint):
        found.append((index, f"is of another step ({step})"))
    for name, digest in list(files.items())[share::shares]:
        path = checkpoint / name
        if not path.is_file():
            found.append((path, "is missing"))
        elif sha256(path) != digest:
            found.append((path, "is damaged (its SHA-256 differs)"))
    return found


def restore(
    checkpoint: Path,
    model: nn.Module,
    optimizers: list[Optimizer],
    read_model: Callable[[Path], None],
) -> dict[str, Any]:
    """Load weights and optimizer state in place; returns the ``state`` written with them."""
    read_model(checkpoint)
    for optimizer in optimizers:
        optimizer.state.clear()
    _restore_optimizers(
        load_file(checkpoint / "optimizer.safetensors"), model, optimizers
    )
    return read_json(checkpoint / "trainer.json")


def optimizer_tensors(
    model: nn.Module, optimizers: list[Optimizer]
) -> dict[str, torch.Tensor]:
    """``parameter/key`` -> a copy in host memory, for every state any optimizer keeps."""
    tensors = {}
    for name, parameter in model.named_parameters():
        for optimizer in optimizers:
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{name}/{key}"] = value.detach().to("cpu", copy=True)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _restore_optimizers(
    tensors: dict[str, torch.Tensor], model: nn.Module, optimizers: list[Optimizer]
) -> None:
    named = dict(model.named_parameters())
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        for optimizer in optimizers:
            if any(
                named[name] is p for g in optimizer.param_groups for p in g["params"]
            ):
                # A step counter stays where its optimizer put it (Adam's may live on the CPU).
                place = named[name].device if value.ndim else value.device
                optimizer.state[named[name]][key] = value.to(place)
