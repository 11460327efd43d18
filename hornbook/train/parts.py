"""Tensors of which each rank has a part (PyTorch's DTensor), and those that are whole.

Written so that a process alone never imports what only many need.
"""

from typing import Any

from torch import Tensor


def local(tensor: Tensor) -> Tensor:
    """What this process holds of ``tensor``."""
    part = getattr(tensor, "to_local", None)
    return tensor if part is None else part()


def whole(tensor: Tensor) -> Tensor:
    """All of ``tensor``, gathered where ranks have parts of it."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def own_part(tensor: Tensor) -> tuple[slice, ...]:
    """Which part of the whole tensor this process holds."""
    if not hasattr(tensor, "to_local"):
        return tuple(slice(0, size) for size in tensor.shape)
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    split: Any = tensor
    shape, offset = compute_local_shape_and_global_offset(
        split.shape, split.device_mesh, split.placements
    )
    return tuple(slice(o, o + n) for o, n in zip(offset, shape, strict=True))
