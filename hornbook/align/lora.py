"""LoRA: fine-tune a few small matrices beside the frozen large ones.

Hu et al. 2021 (arXiv 2106.09685): the change that fine-tuning makes to a weight matrix has
low rank, so learn it as a product ``up @ down`` of two thin matrices. The optimizer then
keeps state for about one weight in a hundred, and an adapter is a small file. Adapters are
stored as PEFT stores them. Reading order: :class:`LoRALinear`, :func:`add_lora`,
:func:`merged`, :func:`save_adapter`.
"""

import copy
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor, nn

from hornbook.align.config import LoRAConfig
from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file, read_json, write_json
from hornbook.infer.quant.codes import Codes, quantize
from hornbook.model.layout_llama import Llama, rename
from hornbook.model.layouts import layout_for
from hornbook.model.transformer import Transformer

GROUP = 32  # columns that share a scale, where the frozen weight is kept as integers
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PREFIX = "base_model.model."  # PEFT's name for the model inside its own
ADAPTABLE = (
    "attention.query",
    "attention.key",
    "attention.value",
    "attention.output",
    "feed_forward.gate",
    "feed_forward.up",
    "feed_forward.down",
)


class FrozenCodes(nn.Module):
    """A frozen linear layer whose weight is kept as integers (infer/quant/codes.py).

    Two codes of 4 bits share a byte. The weight is spelled out for each product and
    forgotten again.
    """

    codes: Tensor
    scales: Tensor

    def __init__(self, layer: nn.Linear, bits: int) -> None:
        super().__init__()
        self.bits, self.dtype = bits, layer.weight.dtype
        self.in_features, self.out_features = layer.in_features, layer.out_features
        found = quantize(layer.weight.detach().float(), bits, GROUP)
        codes = found.codes
        if bits == 4:
            padded = F.pad(codes, (0, codes.shape[1] % 2)) + 8
            codes = (padded[:, ::2] | (padded[:, 1::2] << 4)).to(torch.uint8)
        self.register_buffer("codes", codes)
        self.register_buffer("scales", found.scales)
        self.bias = layer.bias

    @property
    def weight(self) -> Tensor:
        """The weight that the integers stand for, (out_features, in_features)."""
        codes = self.codes
        if self.bits == 4:
            pairs = torch.stack((codes & 15, codes >> 4), dim=-1).flatten(1)
            codes = (pairs.to(torch.int8) - 8)[:, : self.in_features]
        return Codes(codes, self.scales, self.bits, GROUP).weight().to(self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return F.linear(x, self.weight, self.bias)


class LoRALinear(nn.Module):
    """A frozen linear layer and the low-rank change to it.

    ``up`` starts at zero, so at first nothing changes. With ``dora`` the length of each row
    of the weight is learned by itself (DoRA, Liu et al. 2024, arXiv 2402.09353).
    """

    def __init__(self, base: nn.Linear, config: LoRAConfig) -> None:
        super().__init__()
        self.base = FrozenCodes(base, config.bits) if config.bits else base
        self.scale = config.alpha / config.rank
        make = {"dtype": base.weight.dtype, "device": base.weight.device}
        self.down = nn.Parameter(torch.empty(config.rank, base.in_features, **make))
        self.up = nn.Parameter(torch.zeros(base.out_features, config.rank, **make))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.magnitude = None
        if config.dora:
            self.magnitude = nn.Parameter(base.weight.detach().norm(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        if self.magnitude is not None:
            return F.linear(x, self.weight(), self.base.bias)
        return self.base(x) + F.linear(F.linear(x, self.down), self.up) * self.scale

    def weight(self) -> Tensor:
        """The weight matrix of an ordinary linear layer that does the same."""
        changed = self.base.weight + self.scale * (self.up @ self.down)
        if self.magnitude is None:
            return changed
        norm = changed.norm(dim=1).detach()  # as the paper does: no gradient through it
        return changed * (self.magnitude / norm)[:, None]


def add_lora(model: Transformer, config: LoRAConfig) -> None:
    """Freeze ``model`` and put adapters around the linear layers that ``config`` targets.

    Raises :class:`UserError` when a target is not the name of any layer.
    """
    model.requires_grad_(False)
    layers = {
        name: module
        for name, module in model.blocks.named_modules()
        if isinstance(module, nn.Linear) and not name.endswith("router")
    }
    known = sorted({name.rpartition(".")[2] for name in layers})
    for target in config.targets:
        if target not in known:
            raise UserError(
                f"'lora.targets' names '{target}'; this model's layers are "
                f"{', '.join(known)}."
            )
    for name, layer in layers.items():
        if not config.targets or name.rpartition(".")[2] in config.targets:
            model.blocks.set_submodule(name, LoRALinear(layer, config))


def adapters(model: nn.Module) -> dict[str, LoRALinear]:
    """The adapted layers by the name of the layer that they adapt."""
    return {n: m for n, m in model.named_modules() if isinstance(m, LoRALinear)}


def merged(model: Transformer) -> Transformer:
    """A copy of ``model`` with every adapter folded into its layer: plain weights again.

    A model without adapters is returned as it is.
    """
    if not adapters(model):
        return model
    plain = copy.deepcopy(model)
    with torch.no_grad():
        for name, adapter in adapters(plain).items():
            base, changed = adapter.base, adapter.weight()
            layer = nn.Linear(
                base.in_features, base.out_features, base.bias is not None
            )
            layer.weight = nn.Parameter(changed)
            layer.bias = base.bias
            plain.set_submodule(name, layer)
    return plain.requires_grad_()


def save_adapter(model: Transformer, directory: Path, config: LoRAConfig) -> None:
    """Write the adapters in PEFT's layout, without the base model.

    Raises :class:`UserError` for a model that isn't stored under Llama's names.
    """
    if not isinstance(layout_for(model.config), Llama):
        raise UserError(
            "Adapters are stored for models of the Llama family only; merge them instead."
        )
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous() for name, tensor in _named(model)}
    with atomic_file(directory / WEIGHTS) as handle:
        handle.write(save(tensors, metadata={"format": "pt"}))
    write_json(directory / CONFIG, _peft_config(model, config))


def load_adapter(model: Transformer, directory: Path) -> None:
    """Fill the adapters of ``model`` from what :func:`save_adapter` or PEFT wrote.

    Adapters are put in first where the model has none. Raises :class:`UserError` when the
    files don't fit the model.
    """
    table = read_json(directory / CONFIG)
    if not adapters(model):
        add_lora(model, _our_config(table, directory))
    if not (directory / WEIGHTS).exists():
        raise UserError(f"{directory} holds no {WEIGHTS}.")
    tensors = load_file(directory / WEIGHTS)
    ours = dict(_named(model))
    if ours.keys() != tensors.keys():
        odd = min(ours.keys() ^ tensors.keys())
        raise UserError(f"{directory / WEIGHTS} doesn't fit this model: see '{odd}'.")
    with torch.no_grad():
        for name, tensor in ours.items():
            if tensor.shape != tensors[name].shape:
                raise UserError(
                    f"{directory / WEIGHTS}: '{name}' has the shape "
                    f"{tuple(tensors[name].shape)}, the model wants {tuple(tensor.shape)}."
                )
            tensor.copy_(tensors[name])


def _named(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Every adapter tensor under PEFT's name for it."""
    found = []
    for name, adapter in adapters(model).items():
        place = PREFIX + rename(f"{name}.weight").removesuffix(".weight")
        found.append((f"{place}.lora_A.weight", adapter.down))
        found.append((f"{place}.lora_B.weight", adapter.up))
        if adapter.magnitude is not None:
            found.append((f"{place}.lora_magnitude_vector", adapter.magnitude))
    return found


def _peft_config(model: nn.Module, config: LoRAConfig) -> dict[str, Any]:
    targets = {rename(f"{name}.weight").split(".")[-2] for name in adapters(model)}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(targets),
        "use_dora": config.dora,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "base_model_name_or_path": None,
    }


def _our_config(table: dict[str, Any], directory: Path) -> LoRAConfig:
    theirs = {
        rename(f"blocks.0.{module}.weight").split(".")[-2]: module.split(".")[-1]
        for module in ADAPTABLE
    }
    unknown = [name for name in table["target_modules"] if name not in theirs]
    if unknown or table.get("bias", "none") != "none" or table.get("use_rslora"):
        raise UserError(
            f"{directory / CONFIG} has settings Hornbook can't represent: it adapts "
            f"{', '.join(theirs)}, without bias and rsLoRA."
        )
    targets = tuple(theirs[name] for name in table["target_modules"])
    return LoRAConfig(
        rank=table["r"],
        alpha=table["lora_alpha"],
        targets=targets,
        dora=table.get("use_dora", False),
    )
