"""Checkpoints: a model directory that Transformers opens, plus what training needs to go on.

    step-00000500/
        model.safetensors config.json tokenizer.json ...   written by the caller
        optimizer.safetensors                              every optimizer state, by name
        training.json                                      step, and SHA-256 of every file

A checkpoint is written under another name and renamed when it is whole; ``latest`` trusts
nothing whose digests don't agree. Nothing is pickled.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
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

KEEP = 2  # the newest checkpoints kept: one to resume from, one should that be damaged


def save(
    directory: Path,
    step: int,
    model: nn.Module,
    optimizers: list[Optimizer],
    write_model: Callable[[Path], None],
) -> Path:
    """Publish the state after ``step`` steps below ``directory``; drop older ones."""
    final = directory / f"step-{step:08d}"
    temporary = fresh_directory(directory / f"{final.name}.partial")
    write_model(temporary)
    save_file(
        _optimizer_tensors(model, optimizers), temporary / "optimizer.safetensors"
    )
    files = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
    write_json(temporary / "training.json", {"step": step, "files": files})
    publish_directory(temporary, final)
    for old in checkpoints(directory)[:-KEEP]:
        shutil.rmtree(old)
    return final


def checkpoints(directory: Path) -> list[Path]:
    """Published checkpoints below ``directory``, oldest first."""
    return sorted(
        path
        for path in directory.glob("step-*")
        if path.name.removeprefix("step-").isdigit()
    )


def latest(directory: Path) -> Path | None:
    """The newest checkpoint whose files are all there and undamaged."""
    for path in reversed(checkpoints(directory)):
        if is_sound(path):
            return path
    return None


def is_sound(checkpoint: Path) -> bool:
    """Whether every file of ``checkpoint`` has the digest noted when it was written."""
    try:
        files = read_json(checkpoint / "training.json")["files"]
        return all(
            sha256(checkpoint / name) == digest for name, digest in files.items()
        )
    except (OSError, UserError, KeyError):
        return False


def restore(
    checkpoint: Path,
    model: nn.Module,
    optimizers: list[Optimizer],
    read_model: Callable[[Path], None],
) -> int:
    """Load weights and optimizer state in place; returns how many steps were done."""
    read_model(checkpoint)
    _restore_optimizers(
        load_file(checkpoint / "optimizer.safetensors"), model, optimizers
    )
    return int(read_json(checkpoint / "training.json")["step"])


def _optimizer_tensors(
    model: nn.Module, optimizers: list[Optimizer]
) -> dict[str, torch.Tensor]:
    """``parameter/key`` -> tensor, for every state any optimizer keeps."""
    tensors = {}
    for name, parameter in model.named_parameters():
        for optimizer in optimizers:
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{name}/{key}"] = value.detach().clone().contiguous().cpu()
    return tensors


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
