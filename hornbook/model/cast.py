"""Lower precision, entered once."""

import torch
from torch import Tensor


def cast_once(x: Tensor) -> Tensor:
    """``x`` in autocast's dtype, where autocast is on, else as it is.

    For what several products read: each would cast a copy of its own and keep it until the
    backward pass.
    """
    kind = x.device.type
    if not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))
