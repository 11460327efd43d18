"""What is minimised. An objective is a function ``(model, batch) -> Loss``.

The loop knows nothing else about pretraining, SFT or DPO.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.data.batch import IGNORE, Batch


@dataclass(frozen=True)
class Loss:
    """A loss *summed* over its batch; the loop divides by the whole batch's ``weight``.

    ``metrics`` are detached scalar tensors, summed and reported the same way.
    """

    total: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


Objective = Callable[[nn.Module, Any], Loss]


def next_token(model: nn.Module, batch: Batch) -> Loss:
    """Cross-entropy of the next token in nats, summed over the targets that count."""
    logits = model(batch.tokens, segments=batch.segments)
    total = F.cross_entropy(
        logits.flatten(0, 1).float(),
        batch.targets.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return Loss(total)
