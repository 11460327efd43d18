"""Held-out text predicted by a team: each rank its share of every batch."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hornbook.data.batch import IGNORE, Batch
from hornbook.data.loader import validation_batches
from hornbook.data.shards import Shards
from hornbook.train.objective import next_token
from hornbook.train.parallel.ranks import Ranks
from hornbook.train.step import Trainer


def shared_validator(
    shards: Shards, context_length: int, rows: int
) -> Callable[[Trainer], dict[str, float]]:
    """A function that predicts every token of ``shards`` once, and says how well.

    As :func:`hornbook.train.validation.validator`, but for the numbers of each source.
    """

    def validate(trainer: Trainer) -> dict[str, float]:
        nats, ranks = 0.0, trainer.team
        assert isinstance(ranks, Ranks)
        objective, trainer.objective = trainer.objective, next_token
        numbers, ranks.numbers = ranks.numbers, ()
        try:
            for batch in validation_batches(shards, context_length, rows):
                full = filled_up(batch, rows)  # every rank needs rows, and as many
                mine = ranks.batch(lambda _, full=full: full, 0)
                with torch.no_grad():
                    losses = trainer.passes(mine, 1.0, 1.0)
                nats += float(ranks.mean(losses, 1.0)[0])
        finally:
            trainer.objective, ranks.numbers = objective, numbers
        return {
            "validation_loss": nats / shards.tokens,
            "validation_bits_per_byte": nats / math.log(2) / shards.bytes,
        }

    return validate


def filled_up(batch: Batch, rows: int) -> Batch:
    """``batch`` with rows added that predict nothing."""
    lacking = rows - batch.size

    def extended(tensor: Tensor, value: Any) -> Tensor:
        more = torch.full((lacking, tensor.shape[1]), value, dtype=tensor.dtype)
        return torch.cat((tensor, more))

    if not lacking:
        return batch
    return Batch(extended(batch.tokens, 0), extended(batch.targets, IGNORE))
