"""LoRA adapters beside the base: small matrices that requests may ask for by themselves.

The base's weights are in memory once; a request with an adapter adds ``up @ down @ x`` to
what each adapted layer gives (arXiv 2106.09685). Sequences with and without adapters run
in one batch; those with one are stepped by PyTorch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.core.errors import UserError
from hornbook.model.transformer import Transformer


@dataclass(frozen=True, eq=False)
class Adapter:
    """``matrices``: for each adapted module (as ``blocks.0.attention.query``) its two.

    down  (rank, inputs)
    up    (outputs, rank), already multiplied by alpha / rank
    """

    name: str
    matrices: dict[str, tuple[Tensor, Tensor]]

    def check(self, model: Transformer) -> None:
        """Raises :class:`UserError` when it belongs to another model."""
        modules = dict(model.named_modules())
        for name, (down, up) in self.matrices.items():
            layer = modules.get(name)
            shape = (up.shape[0], down.shape[1])
            if not isinstance(layer, nn.Linear) or layer.weight.shape != shape:
                raise UserError(
                    f"The adapter '{self.name}' changes '{name}' as a matrix of {shape}, which "
                    "this model doesn't have; it was made for another one."
                )


@contextmanager
def applied(model: Transformer, adapter: Adapter | None) -> Iterator[None]:
    """While inside, ``model`` computes with ``adapter``; its weights stay as they are."""
    hooks = []
    modules = dict(model.named_modules()) if adapter else {}
    for name, (down, up) in adapter.matrices.items() if adapter else ():

        def add(_layer, inputs, output, down=down, up=up):
            x = inputs[0]
            return output + F.linear(F.linear(x, down.type_as(x)), up.type_as(x))

        hooks.append(modules[name].register_forward_hook(add))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
