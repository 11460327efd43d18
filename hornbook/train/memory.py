"""Fitting into memory: blocks that forget, and a sentence when it isn't enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from hornbook.core.errors import UserError
from hornbook.data.batch import TensorBatch
from hornbook.train.config import TrainConfig


def recompute_blocks(model: nn.Module) -> None:
    """Let every block of ``model`` keep its input only, and run again in the backward pass.

    Activation checkpointing (Chen et al. 2016, arXiv 1604.06174): a third more operations,
    the activations of one block instead of all. The gradient is the same. Raises
    :class:`UserError` for a model without ``blocks``.
    """
    blocks = getattr(model, "blocks", None)
    if blocks is None:
        raise UserError("'recompute' needs a model made of blocks; set it to false.")
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


@contextmanager
def explained(config: TrainConfig, batch: TensorBatch) -> Iterator[None]:
    """Turn running out of memory into a sentence that says what would fit."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise UserError(_advice(config, batch)) from None


def _out_of_memory(error: Exception) -> bool:
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def _advice(config: TrainConfig, batch: TensorBatch) -> str:
    rows = min(config.micro_batch or batch.size, batch.size)
    per_row = batch.n_tokens // batch.size
    remedies = []
    if rows > 1:
        remedies.append(f"set 'micro_batch' to {rows // 2}, which changes no result")
    if not config.recompute:
        remedies.append("set 'recompute' to true")
    if not config.logit_chunk:
        remedies.append("set 'logit_chunk' to 1024")
    remedies.append("take a smaller model or context")
    return (
        f"There is not enough memory for {rows} rows of {per_row:,} tokens at once: "
        f"{', or '.join(remedies)}."
    )
