"""Sharded checkpoints: every rank writes what it has, and any number of ranks read it back.

PyTorch's distributed checkpoints (DCP), in its safetensors form: each file's header says
which slice of which tensor it holds, so nothing is pickled and no index can be lost. A rank
asks for the slices it needs, whoever wrote them:

    step-00000500/
        shards/            one safetensors file per rank: weights by name, and each
                           optimizer state as name/key
        trainer.json       the guard's and the scaler's state
        training.json      step, and SHA-256 of every file

Without a process group, the same functions serve one process.
"""

import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.optim import Optimizer

from hornbook.model.huggingface import load_model
from hornbook.train.parts import local, own_part

FOLDER = "shards"


def is_sharded(checkpoint: Path) -> bool:
    """Whether ``checkpoint`` is of the kind written here."""
    return (checkpoint / FOLDER).is_dir()


def tensors_of(model: nn.Module, optimizers: list[Optimizer]) -> dict[str, Tensor]:
    """This rank's weights by name, and its optimizer states as ``name/key``."""
    found: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        found[name] = parameter.detach()
        for optimizer in optimizers:
            for key, value in optimizer.state.get(parameter, {}).items():
                found[f"{name}/{key}"] = value.detach()
    return found


def writer(checkpoint: Path) -> HuggingFaceStorageWriter:
    """Where DCP is to write the shards of ``checkpoint``."""
    return HuggingFaceStorageWriter(str(checkpoint / FOLDER), save_distributed=True)


def read(checkpoint: Path, model: nn.Module, optimizers: list[Optimizer]) -> None:
    """Fill weights and optimizer states, from shards or from a checkpoint of one process."""
    for optimizer in optimizers:
        optimizer.state.clear()
    if not is_sharded(checkpoint):
        _read_plain(checkpoint, model, optimizers)
        return
    source = HuggingFaceStorageReader(str(checkpoint / FOLDER))
    sizes = {
        name: entry.size  # type: ignore[union-attr]
        for name, entry in source.read_metadata().state_dict_metadata.items()
    }
    wanted: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        wanted[name] = parameter.detach()
        for full in (n for n in sizes if n.rpartition("/")[0] == name):
            key = full.rpartition("/")[2]
            state = _state_like(parameter, scalar=not sizes[full])
            _owner(optimizers, parameter).state[parameter][key] = state
            wanted[full] = state
    load(wanted, checkpoint)


def load(wanted: dict[str, Tensor], checkpoint: Path) -> None:
    """Fill the tensors ``wanted`` from the shards of ``checkpoint``, in place."""
    if not dist.is_initialized():
        load_alone(wanted, checkpoint)
        return
    source = HuggingFaceStorageReader(str(checkpoint / FOLDER))
    dcp_load(wanted, storage_reader=source)


def load_alone(wanted: dict[str, Tensor], checkpoint: Path) -> None:
    """:func:`load`, without asking the other ranks."""
    source = HuggingFaceStorageReader(str(checkpoint / FOLDER))
    with warnings.catch_warnings():  # that it is alone is what was asked for
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        dcp_load(wanted, storage_reader=source, no_dist=True)


def _state_like(parameter: Tensor, scalar: bool) -> Tensor:
    # A step counter lives on the CPU, but for fused updates, which want it at hand.
    place = parameter.device if parameter.device.type == "cuda" else "cpu"
    if scalar:
        return torch.zeros((), dtype=torch.float32, device=place)
    return torch.zeros_like(parameter.detach())


def _owner(optimizers: list[Optimizer], parameter: nn.Parameter) -> Optimizer:
    return next(
        optimizer
        for optimizer in optimizers
        if any(parameter is p for g in optimizer.param_groups for p in g["params"])
    )


def _read_plain(
    checkpoint: Path, model: nn.Module, optimizers: list[Optimizer]
) -> None:
    """What one process wrote (checkpoint.py), each rank its part."""
    whole = load_model(checkpoint).state_dict()
    named = dict(model.named_parameters())
    for name, parameter in named.items():
        local(parameter.detach()).copy_(whole[name][own_part(parameter)])
    with safe_open(checkpoint / "optimizer.safetensors", "pt") as file:
        for path in file.keys():  # noqa: SIM118
            name, _, key = path.rpartition("/")
            if name not in named:
                continue
            stored = file.get_slice(path)
            scalar = not stored.get_shape()
            state = _state_like(named[name], scalar)
            value = file.get_tensor(path) if scalar else stored[own_part(named[name])]
            local(state).copy_(value)
            _owner(optimizers, named[name]).state[named[name]][key] = state
