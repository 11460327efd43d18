"""A model directory as Hugging Face's Transformers writes and reads it.

``config.json`` and ``model.safetensors``, in the layout of the first family that can
express the model (Qwen3, Llama, Qwen2, Mixtral, GPT-2), so that Transformers, llama.cpp and
vLLM open what we train and we open what they have. A model that no family can express is
kept in our own layout, under ``model_type`` "hornbook".
Reading order: :func:`save_model`, :func:`load_model`, then layouts.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file, read_json, write_json
from hornbook.model.config import ModelConfig
from hornbook.model.layouts import Layout, layout_for, layout_of
from hornbook.model.transformer import Transformer

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class TokenIds:
    """Ids of special tokens that runtimes look for in a model's directory."""

    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    def table(self) -> dict[str, Any]:
        """The ids that are set, under Transformers' names."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def save_model(
    model: Transformer, directory: Path, token_ids: TokenIds | None = None
) -> None:
    """Write ``config.json``, ``generation_config.json`` and ``model.safetensors``."""
    directory.mkdir(parents=True, exist_ok=True)
    layout = layout_for(model.config)
    state = {name: value.detach() for name, value in model.state_dict().items()}
    tensors = {name: t.contiguous() for name, t in layout.export(state).items()}
    dtype = str(model.embedding.weight.dtype).removeprefix("torch.")
    with atomic_file(directory / WEIGHTS) as handle:
        handle.write(save(tensors, metadata={"format": "pt"}))
    write_config(model.config, directory, dtype, token_ids)


def write_config(
    config: ModelConfig, directory: Path, dtype: str, token_ids: TokenIds | None = None
) -> None:
    """Write ``config.json`` and ``generation_config.json`` for weights of ``dtype``."""
    layout = layout_for(config)
    ids = (token_ids or TokenIds()).table()
    write_json(directory / "generation_config.json", {"_from_model_config": True} | ids)
    table = layout.to_table(config) | {"dtype": dtype, "torch_dtype": dtype}
    write_json(directory / "config.json", table | ids)


def load_model(directory: Path) -> Transformer:
    """The model of a directory that :func:`save_model` or Transformers wrote, in float32.

    Raises :class:`UserError` for an architecture or setting we can't represent, and for
    missing, unexpected or misshapen tensors, naming the first.
    """
    layout, config = _read_config(directory)
    model = Transformer(config)
    state = model.state_dict()
    wanted = layout.export(state)
    tensors = layout.tidy(read_tensors(directory), model.config)
    _check_tensors(wanted, tensors, directory)
    with torch.no_grad():
        for name, tensor in layout.load(tensors, model.config).items():
            state[name].copy_(tensor)
    return model


def read_config(directory: Path) -> ModelConfig:
    """The settings in a directory's ``config.json``; raises as :func:`load_model` does."""
    return _read_config(directory)[1]


def _read_config(directory: Path) -> tuple[Layout, ModelConfig]:
    source = directory / "config.json"
    table = read_json(source)
    layout = layout_of(table, str(source))
    return layout, layout.from_table(table, str(source))


def check_weights(directory: Path) -> ModelConfig:
    """The settings of a directory whose weights :func:`load_model` would take.

    Reads names and shapes only; raises as :func:`load_model` does.
    """
    layout, config = _read_config(directory)
    with torch.device("meta"):
        wanted = layout.export(Transformer(config).state_dict())
    shapes: dict[str, Tensor] = {}
    for file in _weight_files(directory):
        with _reading(file), safe_open(file, "pt") as handle:
            for name in handle.keys():  # noqa: SIM118  (it can't be iterated itself)
                shape = handle.get_slice(name).get_shape()
                shapes[name] = torch.empty(shape, device="meta")
    _check_tensors(wanted, layout.tidy(shapes, config), directory)
    return config


def read_tensors(directory: Path) -> dict[str, Tensor]:
    """Every tensor of a directory, from one safetensors file or from several."""
    tensors: dict[str, Tensor] = {}
    for file in _weight_files(directory):
        with _reading(file):
            tensors |= load_file(file)
    return tensors


def _weight_files(directory: Path) -> list[Path]:
    index = directory / f"{WEIGHTS}.index.json"
    if index.exists():
        names = sorted(set(read_json(index)["weight_map"].values()))
        return [directory / Path(name).name for name in names]
    if (directory / WEIGHTS).exists():
        return [directory / WEIGHTS]
    raise UserError(
        f"{directory} holds no {WEIGHTS}; pickled weights (.bin, .pt) are never opened, "
        "because opening one may run its code: convert them to safetensors first."
    )


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} can't be read as safetensors: {error}.") from None


def _check_tensors(
    wanted: dict[str, Tensor], found: dict[str, Tensor], directory: Path
) -> None:
    missing = sorted(wanted.keys() - found.keys())
    extra = sorted(found.keys() - wanted.keys())
    for names, problem in ((missing, "lacks"), (extra, "has an unexpected")):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise UserError(
                f"{directory}: the weights file {problem} tensor '{names[0]}'{more}; it "
                "doesn't belong to this config.json."
            )
    for name, tensor in wanted.items():
        if tensor.shape != found[name].shape:
            raise UserError(
                f"{directory}: tensor '{name}' has shape {tuple(found[name].shape)}, and "
                f"config.json calls for {tuple(tensor.shape)}."
            )
