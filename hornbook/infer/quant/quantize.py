"""Quantizing a whole model, and what that costs."""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hornbook.infer.quant.calibrate import gptq
from hornbook.infer.quant.codes import Codes, quantize
from hornbook.model.transformer import Transformer


@dataclass(frozen=True)
class Cost:
    """How a quantized model differs from the original on the same text.

    layer_errors         for each matrix, the length of the change over that of the matrix
    largest_difference   max |Δ log p| of a token that stands in the text, in nats
    same_argmax          share of places where both find the same token likeliest
    bits_per_byte        of the original; quantized_bits_per_byte likewise
    """

    layer_errors: dict[str, float]
    largest_difference: float
    same_argmax: float
    bits_per_byte: float
    quantized_bits_per_byte: float

    def table(self) -> dict[str, Any]:
        """As JSON has it, with the change spelled out."""
        change = self.quantized_bits_per_byte - self.bits_per_byte
        return asdict(self) | {"change_in_bits_per_byte": change}


def matrices(model: Transformer) -> dict[str, Tensor]:
    """The weights worth quantizing: embedding, head and every linear layer's."""
    return {
        f"{name}.weight": module.weight.detach()
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Embedding)
        and not name.startswith("position")
    }


def quantize_model(
    model: Transformer,
    bits: int,
    group: int,
    products: dict[str, Tensor] | None = None,
    note: Callable[[str], None] = lambda name: None,
) -> dict[str, Codes]:
    """Codes for every matrix: rounded to the nearest, or by GPTQ given ``products``.

    ``note`` is called with each name when it is done.
    """
    codes = {}
    for name, weight in matrices(model).items():
        if products and name in products:
            codes[name] = gptq(weight, products[name], bits, group)
        else:
            codes[name] = quantize(weight, bits, group)
        note(name)
    return codes


def dequantized(model: Transformer, codes: dict[str, Codes]) -> Transformer:
    """A copy of ``model`` that computes with what the codes stand for."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, some in codes.items():
            twin.get_parameter(name).copy_(some.weight())
    return twin


def layer_errors(model: Transformer, codes: dict[str, Codes]) -> dict[str, float]:
    """For each matrix, the length of what quantizing changed over its own length."""
    return {
        name: float((codes[name].weight() - w.float()).norm() / w.float().norm())
        for name, w in matrices(model).items()
        if name in codes and float(w.float().norm())
    }


def cost(
    model: Transformer, codes: dict[str, Codes], windows: list[list[int]], n_bytes: int
) -> Cost:
    """Compare on ``windows`` of token ids, together the tokens of ``n_bytes`` of text."""
    twin = dequantized(model, codes)
    largest, same, count, nats, twin_nats = 0.0, 0, 0, 0.0, 0.0
    for ids in windows:
        ours, theirs = _logprobs(twin, ids), _logprobs(model, ids)
        targets = torch.tensor(ids[1:])[:, None]
        a, b = ours.gather(1, targets), theirs.gather(1, targets)
        largest = max(largest, float((a - b).abs().max()))
        same += int((ours.argmax(1) == theirs.argmax(1)).sum())
        count += len(ids) - 1
        nats, twin_nats = nats - float(b.sum()), twin_nats - float(a.sum())
    per_byte = math.log(2) * n_bytes
    return Cost(
        layer_errors(model, codes),
        largest,
        same / max(1, count),
        nats / per_byte,
        twin_nats / per_byte,
    )


@torch.inference_mode()
def _logprobs(model: Transformer, ids: list[int]) -> Tensor:
    return model(torch.tensor([ids[:-1]]))[0].float().log_softmax(dim=-1)
