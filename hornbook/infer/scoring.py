"""How many nats a model needs for tokens it is shown: the sum behind every loss reported.

Training's validation and the evaluation of a finished run both come here, so their
numbers mean the same thing.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IGNORE = -100  # a target that isn't scored, as in hornbook.data.batch


class Scored(Protocol):
    """What is scored: the fields of a batch that matter here."""

    @property
    def tokens(self) -> Tensor:
        """(batch, time) token ids."""
        ...

    @property
    def targets(self) -> Tensor:
        """(batch, time) the token to predict at each place, or ``IGNORE``."""
        ...


def held_out_nats(
    model: nn.Module, batches: Iterable[Scored], dtype: torch.dtype = torch.float32
) -> tuple[float, int]:
    """Sum of -ln p over every target of ``batches`` that counts, and how many there are.

    ``dtype`` other than float32 means autocast to it; the softmax is always float32 and
    the sum float64. The model runs on the device of its weights, in evaluation mode.
    """
    total, count = 0.0, 0
    for batch in batches:
        nats = target_nats(model, batch, dtype)
        total += float(nats.double().sum())
        count += int((batch.targets != IGNORE).sum())
    return total, count


@torch.inference_mode()
def target_nats(
    model: nn.Module, batch: Scored, dtype: torch.dtype = torch.float32
) -> Tensor:
    """-ln p of every target, (batch, time) float32 on the CPU; 0 where it is ``IGNORE``."""
    device = next(model.parameters()).device
    tokens, targets = batch.tokens.to(device), batch.targets.to(device)
    segments = getattr(batch, "segments", None)
    known: dict[str, Any] = (
        {} if segments is None else {"segments": segments.to(device)}
    )
    training = model.training
    model.eval()
    try:
        with _autocast(device, dtype):
            logits = model(tokens, **known)
    finally:
        model.train(training)
    nats = F.cross_entropy(
        logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=IGNORE,
        reduction="none",
    )
    return nats.view(targets.shape).cpu()


def _autocast(
    device: torch.device, dtype: torch.dtype
) -> AbstractContextManager[object]:
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype)
