"""Who trains: one process alone, or one rank of many (parallel/ranks.py).

The loop and the step ask their team wherever many would differ from one. :class:`Alone`
says what one process does.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hornbook.data.batch import TensorBatch
from hornbook.train.backend import Backend
from hornbook.train.config import TrainConfig
from hornbook.train.memory import recompute_blocks
from hornbook.train.objective import Loss, Objective
from hornbook.train.saves import Saves

# Runs micro-batches forward and backward: objective, micro-batches, what scales the loss.
Passes = Callable[[Objective, list[Any], float], list[Loss]]


class Alone:
    """A team of one."""

    first = True  # writes the files and talks to who watches
    size = 1

    def take(
        self,
        model: nn.Module,
        objective: Objective,
        config: TrainConfig,
        backend: Backend,
    ) -> tuple[nn.Module, Objective, Passes | None]:
        """This rank's part of ``model`` on its device, ready to train.

        With it comes the objective as it is to be called, and what runs a pipeline's
        micro-batches, if there is one.
        """
        model.to(backend.device)
        backend.convert(model)
        if config.recompute:
            recompute_blocks(getattr(model, "body", model))
        return model, backend.compiled(objective), None

    def making(self) -> AbstractContextManager[object]:
        """The context in which the model is made."""
        return nullcontext()

    def saves(self, *about: Any) -> Saves:
        """What writes and reads the run's checkpoints; ``about`` as :class:`Saves`."""
        return Saves(*about)

    def watching(self, directory: Path) -> AbstractContextManager[None]:
        """The context of a training: tells in a sentence when other ranks are lost."""
        return nullcontext()

    def batch(self, batches: Callable[[int], Any], number: int) -> TensorBatch:
        """This rank's share of the ``number``-th batch: here all of it."""
        return batches(number)

    def pieces(self, batch: Any, micro_batch: int) -> list[Any]:
        """``batch`` in micro-batches of at most so many rows; 0: all at once."""
        return batch.split(micro_batch)

    def tokens(self, batch: TensorBatch) -> int:
        """How many tokens the whole batch has, of which ``batch`` is this rank's share."""
        return batch.n_tokens

    def total(self, values: list[float]) -> list[float]:
        """``values`` added up over the shares of a batch."""
        return values

    def mean(
        self, losses: list[Loss], weight: float
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss and the other numbers of all micro-batches, divided by ``weight``."""
        mean = torch.stack([loss.total for loss in losses]).sum() / weight
        extra = {
            name: float(sum(float(loss.metrics[name]) for loss in losses) / weight)
            for name in (losses[0].metrics if weight else ())
        }
        return mean, extra

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is set on any rank."""
        return flag

    def clip(self, parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
        """Scale the gradient down to the norm ``limit``; returns its norm before."""
        return nn.utils.clip_grad_norm_(list(parameters), limit).detach()

    def judging(self) -> AbstractContextManager[None]:
        """The context in which losses are computed, and their gradients."""
        return nullcontext()
