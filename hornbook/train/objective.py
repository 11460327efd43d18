"""What is minimised. An objective is a function ``(model, batch) -> Loss``.

The loop knows nothing else about pretraining, SFT or DPO.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hornbook.data.batch import IGNORE, Batch
from hornbook.train.config import TrainConfig
from hornbook.train.cross_entropy import cross_entropy


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
    return Loss(cross_entropy(logits.flatten(0, 1), batch.targets.flatten()))


def next_token_objective(config: TrainConfig) -> Objective:
    """:func:`next_token` with the z-loss and the chunks of logits that ``config`` asks for.

    The model needs ``hidden`` and ``unembed``, as :class:`Transformer` has them. With a
    z-loss, the cross-entropy alone is reported as ``nats``.
    """
    if not (config.z_loss or config.logit_chunk):
        return next_token

    def objective(model: Any, batch: Batch) -> Loss:
        targets = batch.targets.flatten()
        hidden = model.hidden(batch.tokens, segments=batch.segments).flatten(0, 1)

        def piece(hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            logits = model.unembed(hidden)
            nats = cross_entropy(logits, targets)
            if not config.z_loss:
                return nats, nats.detach()
            z = squared_normaliser(logits, targets)
            return nats + config.z_loss * z, nats.detach()

        total, nats = in_chunks(piece, hidden, targets, config.logit_chunk)
        return Loss(total, {"nats": nats} if config.z_loss else {})

    return objective


def squared_normaliser(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum of (ln of the softmax's denominator)² where targets count.

    A small share of it in the loss keeps logits from drifting, which low precision doesn't
    forgive (PaLM, Chowdhery et al. 2022, section 5).
    """
    counts = targets != IGNORE
    return (logits.float().logsumexp(-1).square() * counts).sum()


def in_chunks(
    function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    hidden: Tensor,
    targets: Tensor,
    size: int,
) -> tuple[Tensor, Tensor]:
    """Sum ``function(hidden, targets)`` over pieces of ``size`` tokens; 0: in one piece.

    What ``function`` computes inside (logits, a row of the vocabulary for each token) is
    forgotten after each piece and computed again in the backward pass, so that it exists
    for one piece at a time: a third more operations in the head, the same gradient.
    """
    if not size:
        return function(hidden, targets)
    totals = [hidden.new_zeros((), dtype=torch.float32) for _ in range(2)]
    for piece in zip(hidden.split(size), targets.split(size), strict=True):
        sums = checkpoint(function, *piece, use_reentrant=False)
        totals = [total + part for total, part in zip(totals, sums, strict=True)]
    return totals[0], totals[1]
