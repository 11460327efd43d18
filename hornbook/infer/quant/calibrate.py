"""GPTQ: rounding that makes up for its own errors (Frantar et al. 2022, arXiv 2210.17323).

A layer's output is wrong by ``(W - W') x``. Which errors hurt depends on the inputs: their
products ``H = sum of x x^T`` over some real text say which columns act together. Columns are
rounded one after the other, and what rounding a column adds to the output is taken off
again by changing the columns still to come.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hornbook.infer.quant.codes import Codes, group_scales, round_to
from hornbook.model.transformer import Transformer

DAMPING = 0.01  # of H's mean diagonal, so that it can be inverted


def gptq(weight: Tensor, products: Tensor, bits: int, group: int) -> Codes:
    """Round ``weight`` (outputs, inputs), given ``products`` (inputs, inputs) of its inputs."""
    weight = weight.float().clone()
    inverse = _inverse(products)
    outputs, inputs = weight.shape
    codes = torch.zeros(outputs, inputs, dtype=torch.int8)
    scales = torch.zeros(outputs, -(-inputs // group), dtype=torch.float16)
    for start in range(0, inputs, group):
        stop = min(start + group, inputs)
        part = weight[:, start:stop]
        number = start // group
        scales[:, number : number + 1] = group_scales(part, bits, group)
        errors = torch.zeros_like(part)
        for i in range(stop - start):
            column = part[:, i : i + 1]
            code = round_to(column, scales[:, number : number + 1], bits, group)
            codes[:, start + i] = code[:, 0]
            rounded = code * scales[:, number : number + 1].float()
            row = inverse[start + i, start + i : stop]
            errors[:, i] = ((column - rounded) / row[0])[:, 0]
            part[:, i:] -= errors[:, i : i + 1] * row
        weight[:, stop:] -= errors @ inverse[start:stop, stop:]
    return Codes(codes, scales, bits, group)


def _inverse(products: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse of ``products``, damped."""
    damped = products.double().clone()
    diagonal = damped.diagonal()
    dead = diagonal == 0  # inputs that were never anything but zero
    diagonal[dead] = 1.0
    diagonal += DAMPING * diagonal.mean()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True).float()


@torch.no_grad()
def input_products(
    model: Transformer, batches: list[Tensor], note: Callable[[], None] = lambda: None
) -> dict[str, Tensor]:
    """For each linear layer and the head, ``sum of x x^T`` of its inputs over ``batches``.

    ``batches`` are (rows, time) token ids. The result is keyed by the weight's name;
    ``note`` is called after each batch.
    """
    found: dict[str, Tensor] = {}
    hooks = []

    def watch(name: str, module: nn.Module) -> None:
        def add(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].flatten(0, -2).float()
            product = x.T @ x
            found[name] = found[name] + product if name in found else product

        hooks.append(module.register_forward_pre_hook(add))

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name != "head":
            watch(f"{name}.weight", module)
    head = "embedding.weight" if model.head is None else "head.weight"
    try:
        for tokens in batches:
            states = model.hidden(tokens).flatten(0, -2).float()
            product = states.T @ states
            found[head] = found[head] + product if head in found else product
            note()
    finally:
        for hook in hooks:
            hook.remove()
    return found
