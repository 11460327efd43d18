"""A model on paper: every tensor's shape, parameters by part, FLOPs and memory.

:func:`describe` gives the facts, :func:`render` shows them in a terminal. The shapes are
read off the model itself, built without memory for its weights.
"""

import re
from dataclasses import dataclass

import torch
from rich.console import Group, RenderableType
from rich.table import Table

from hornbook.core.progress import short_number
from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer

ADAMW_BYTES = 16  # per parameter: weight, gradient and two moments in float32


@dataclass(frozen=True)
class TensorShape:
    """One weight: its name (``N`` stands for every layer), shape and how many there are."""

    name: str
    shape: tuple[int, ...]
    copies: int

    @property
    def parameters(self) -> int:
        """In all copies together."""
        count = self.copies
        for width in self.shape:
            count *= width
        return count


@dataclass(frozen=True)
class Description:
    """What there is to know of a model before it is trained. Memory is in bytes."""

    tensors: list[TensorShape]
    parts: dict[str, int]
    parameters: int
    active_parameters: int
    flops_per_token: float
    weight_bytes: int
    training_bytes: int
    cache_bytes_per_token: int


def describe(config: ModelConfig) -> Description:
    """Describe ``config``; nothing is allocated.

    ``flops_per_token`` counts training at the full context; ``weight_bytes`` is in bfloat16,
    ``training_bytes`` weights, gradients and AdamW's state in float32 without activations,
    ``cache_bytes_per_token`` what the engine keeps per token in float32.
    """
    with torch.device("meta"):
        model = Transformer(config)
    copies: dict[tuple[str, tuple[int, ...]], int] = {}
    for name, parameter in model.named_parameters():
        key = (re.sub(r"\.\d+\.", ".N.", name), tuple(parameter.shape))
        copies[key] = copies.get(key, 0) + 1
    heads, key_width, value_width = sizes.cache_shape(config)
    total = sum(sizes.parameters(config).values())
    return Description(
        tensors=[TensorShape(*key, count) for key, count in copies.items()],
        parts=sizes.parameters(config),
        parameters=total,
        active_parameters=sizes.active_parameters(config),
        flops_per_token=sizes.flops_per_token(config),
        weight_bytes=2 * total,
        training_bytes=ADAMW_BYTES * total,
        cache_bytes_per_token=4 * config.n_layers * heads * (key_width + value_width),
    )


def render(facts: Description) -> RenderableType:
    """``facts`` as tables for a terminal."""
    shapes = Table(title="Tensors", title_justify="left")
    for column, justify in (("name", "left"), ("shape", "left"), ("copies", "right")):
        shapes.add_column(column, justify=justify)  # type: ignore[arg-type]
    shapes.add_column("parameters", justify="right")
    for tensor in facts.tensors:
        shape = " x ".join(map(str, tensor.shape))
        shapes.add_row(tensor.name, shape, str(tensor.copies), f"{tensor.parameters:,}")
    parts = Table("part", title="Parts", title_justify="left")
    for column in ("parameters", "share"):
        parts.add_column(column, justify="right")
    for name, count in facts.parts.items():
        if count:  # a tied head and positions that are computed have none
            parts.add_row(name, f"{count:,}", f"{count / facts.parameters:.1%}")
    whole = Table(title="Whole", title_justify="left", show_header=False)
    whole.add_column()
    whole.add_column(justify="right")
    whole.add_row("parameters", f"{facts.parameters:,}")
    if facts.active_parameters != facts.parameters:
        whole.add_row("of which a token meets", f"{facts.active_parameters:,}")
    flops = short_number(facts.flops_per_token)
    whole.add_row("FLOPs per token, training", flops)
    whole.add_row("weights in bfloat16", _bytes(facts.weight_bytes))
    whole.add_row("training with AdamW, float32", _bytes(facts.training_bytes))
    whole.add_row("cache per token, float32", _bytes(facts.cache_bytes_per_token))
    return Group(shapes, parts, whole)


def overview(described: dict[str, Description]) -> RenderableType:
    """Models side by side, one line each."""
    table = Table()
    table.add_column("preset", no_wrap=True)
    for column in ("parameters", "a token meets", "FLOPs", "AdamW, float32"):
        table.add_column(column, justify="right", no_wrap=column == "parameters")
    for name, facts in described.items():
        table.add_row(
            name,
            f"{facts.parameters:,}",
            short_number(facts.active_parameters),
            short_number(facts.flops_per_token),
            _bytes(facts.training_bytes),
        )
    return table


def _bytes(count: float) -> str:
    """1536 -> ``1.5 KiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
