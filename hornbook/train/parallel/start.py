"""Where a team's training starts: one rank has the weights, the others get their parts.

The first rank makes (or loads) the model as one process would, in host memory; the others
make one without numbers. Once it is shared out, the first sends weight after weight, and
each rank keeps what is its own: nobody else ever holds more than one whole weight.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hornbook.train.parts import local, own_part


def without_numbers(first: bool) -> AbstractContextManager[object]:
    """The context in which a rank makes its model."""
    return nullcontext() if first else torch.device("meta")


def emptied(model: nn.Module) -> dict[str, Tensor]:
    """Take the numbers out of ``model``, in place; returns them by name, buffers too."""
    numbers = {name: tensor.detach() for name, tensor in _named(model)}
    model.to("meta")
    return numbers


def filled(part: nn.Module, numbers: dict[str, Tensor], device: torch.device) -> None:
    """Give ``part``, what a rank has of an emptied model, the first rank's ``numbers``.

    ``numbers`` holds all names on every rank, values on the first.
    """
    part.to_empty(device=device)
    mine: dict[str, list[Tensor]] = {}
    for name, tensor in _named(part):
        mine.setdefault(name, []).append(tensor)
    for name, tensor in numbers.items():
        if tensor.is_meta:
            value = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
        else:
            value = tensor.to(device).contiguous()
        dist.broadcast(value, 0)
        for place in mine.get(name, ()):
            with torch.no_grad():
                local(place.detach()).copy_(value[own_part(place)])


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name; of a pipeline's stages, each under its own."""
    for one in getattr(module, "stages", [module]):
        yield from one.named_parameters()
        yield from one.named_buffers()
