"""A quantized model's directory: codes and scales, and what it is.

``quantized.safetensors`` holds for each quantized matrix ``NAME.codes`` (int8; two 4-bit codes
to a byte, the even column in the lower half) and ``NAME.scales`` (float16, one for each group
of columns), and the other parameters as they are. ``quantization.json`` says how it was made
and what it costs; ``config.json`` and the tokenizer's files are the model's own.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file, read_json, write_json
from hornbook.infer.quant.codes import Codes
from hornbook.model.config import ModelConfig
from hornbook.model.layouts import layout_for, layout_of
from hornbook.model.transformer import Transformer

WEIGHTS, DESCRIPTION = "quantized.safetensors", "quantization.json"
FORMAT = "hornbook-quantized-1"
BESIDE = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def is_quantized(directory: Path) -> bool:
    """Whether ``directory`` holds a quantized model."""
    return (directory / DESCRIPTION).exists()


def save_quantized(
    model: Transformer,
    codes: dict[str, Codes],
    directory: Path,
    source: Path | None = None,
    about: dict[str, Any] | None = None,
) -> None:
    """Write ``model`` with ``codes`` in place of the matrices they stand for.

    The tokenizer's files are copied from ``source``; ``about`` goes into the description.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        if name in codes:
            tensors[f"{name}.codes"] = _packed(codes[name])
            tensors[f"{name}.scales"] = codes[name].scales.contiguous()
        else:
            tensors[name] = parameter.detach().float().contiguous()
    table = layout_for(model.config).to_table(model.config)
    some = next(iter(codes.values()))
    for name in BESIDE:
        if source is not None and (source / name).exists():
            shutil.copyfile(source / name, directory / name)
    with atomic_file(directory / WEIGHTS) as handle:
        handle.write(save(tensors, metadata={"format": FORMAT}))
    write_json(directory / "config.json", table)
    description = {
        "format": FORMAT,
        "bits": some.bits,
        "group": some.group,
        "model": _fingerprint(table),
    }
    write_json(directory / DESCRIPTION, description | (about or {}))


def load_quantized(
    directory: Path, dtype: torch.dtype = torch.bfloat16
) -> tuple[Transformer, dict[str, Codes]]:
    """The model, its matrices the numbers the codes stand for (in ``dtype``), and the codes.

    Raises :class:`UserError` for files that are damaged or of another model.
    """
    source = directory / "config.json"
    table, about = read_json(source), read_json(directory / DESCRIPTION)
    if about.get("format") != FORMAT:
        raise UserError(
            f"{directory / DESCRIPTION}: the format is {about.get('format')!r}, and this "
            f"version reads {FORMAT!r}."
        )
    layout = layout_of(table, str(source))
    config = layout.from_table(table, str(source))
    if about.get("model") != _fingerprint(layout_for(config).to_table(config)):
        raise UserError(
            f"{directory}: {WEIGHTS} was made for another model than {source.name} describes; "
            "quantize that model again."
        )
    tensors = _read(directory / WEIGHTS)
    model, codes = empty_model(config), {}
    for name, parameter in list(model.named_parameters()):
        if f"{name}.codes" in tensors:
            codes[name] = _unpacked(name, parameter, tensors, about, directory)
            value = codes[name].weight()
        else:
            value = _checked(name, tensors, parameter.shape, directory)
        set_parameter(model, name, value.to(dtype))
    return model.eval(), codes


def empty_model(config: ModelConfig) -> Transformer:
    """A model whose parameters have no values yet, so that none are drawn in vain.

    The tables of positions, which are computed and not stored, are there.
    """
    with torch.device("meta"):
        model = Transformer(config)
    small = Transformer(msgspec.structs.replace(config, n_layers=1, vocab_size=1))
    for name, table in small.named_buffers():
        path, _, key = name.rpartition(".")
        setattr(model.get_submodule(path), key, table)
    return model


def set_parameter(model: Transformer, name: str, value: Tensor) -> None:
    """Give a parameter of an :func:`empty_model` its value."""
    path, _, key = name.rpartition(".")
    setattr(model.get_submodule(path), key, torch.nn.Parameter(value, False))


def _packed(codes: Codes) -> Tensor:
    if codes.bits == 8:
        return codes.codes.contiguous()
    values = codes.codes
    if values.shape[1] % 2:
        values = torch.nn.functional.pad(values, (0, 1))
    low, high = values[:, 0::2] & 15, values[:, 1::2] & 15
    return (low | (high << 4)).contiguous()


def _unpacked(
    name: str,
    parameter: Tensor,
    tensors: dict[str, Tensor],
    about: dict[str, Any],
    directory: Path,
) -> Codes:
    outputs, inputs = parameter.shape
    bits, group = about["bits"], about["group"]
    width = inputs if bits == 8 else -(-inputs // 2)
    codes = _checked(f"{name}.codes", tensors, (outputs, width), directory)
    shape = (outputs, -(-inputs // group))
    scales = _checked(f"{name}.scales", tensors, shape, directory)
    if bits == 4:
        low, high = (codes << 4) >> 4, codes >> 4  # int8: shifts keep the sign
        codes = torch.stack((low, high), dim=2).flatten(1)[:, :inputs].contiguous()
    return Codes(codes, scales, bits, group)


def _checked(
    name: str, tensors: dict[str, Tensor], shape: tuple[int, ...], directory: Path
) -> Tensor:
    found = tensors.get(name)
    if found is None or tuple(found.shape) != tuple(shape):
        has = "no" if found is None else f"a {tuple(found.shape)}"
        raise UserError(
            f"{directory / WEIGHTS} has {has} tensor '{name}' where config.json calls for "
            f"{tuple(shape)}; it belongs to another model."
        )
    return found


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} can't be read as safetensors: {error}.") from None


def _fingerprint(table: dict[str, Any]) -> str:
    text = json.dumps(table, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
