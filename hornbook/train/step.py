"""One step of training: forward, backward, clip, and the update unless the step is bad."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hornbook.data.batch import TensorBatch
from hornbook.train.backend import Backend
from hornbook.train.config import TrainConfig
from hornbook.train.guard import Guard
from hornbook.train.memory import explained
from hornbook.train.objective import Loss, Objective
from hornbook.train.optim import set_rate
from hornbook.train.parts import local
from hornbook.train.scaler import LossScaler
from hornbook.train.schedule import rate
from hornbook.train.team import Alone, Passes


@dataclass
class Trainer:
    """What changes while training: weights, optimizers, guard and loss scale."""

    model: nn.Module
    objective: Objective
    optimizers: list[Optimizer]
    config: TrainConfig
    backend: Backend
    seed: int
    guard: Guard
    scaler: LossScaler = field(default_factory=LossScaler)
    alarm: Callable[[dict[str, float]], str] | None = None
    team: Alone = field(default_factory=Alone)
    pipeline: Passes | None = None

    def step(self, step: int, batch: TensorBatch) -> tuple[dict[str, Any], str]:
        """Do ``step`` with ``batch``: the diary's record of it, and what is wrong with it.

        A step with something wrong has not touched the weights.
        """
        started = time.perf_counter()
        with explained(self.config, batch):
            loss, norm, extra = self.gradient(step, batch)
        wrong = self.guard.judge(loss, norm) or (self.alarm or _calm)(extra)
        if not wrong:
            self.update(step)
            self.guard.healthy(step, loss, norm)
        self.forget()
        return {
            "step": step + 1,
            "loss": loss,
            "rate": self._share(step) * self.config.learning_rate,
            "gradient_norm": norm,
            "seconds": time.perf_counter() - started,
            **extra,
        }, wrong

    def gradient(
        self, step: int, batch: TensorBatch
    ) -> tuple[float, float, dict[str, float]]:
        """Leave the clipped gradient of the mean loss; returns loss, norm, other numbers."""
        while True:
            torch.manual_seed(_mix(self.seed, step))
            loss, extra = self._accumulate(batch)
            norm = self._clip()
            if not self._scaled() or self.scaler.accepts(
                bool(loss.isfinite()), bool(norm.isfinite())
            ):
                return loss.item(), norm.item(), extra
            self.forget()

    def update(self, step: int) -> None:
        """Let the optimizers change the weights, at the rate of ``step``."""
        set_rate(self.optimizers, self._share(step))
        for optimizer in self.optimizers:
            optimizer.step()

    def _share(self, step: int) -> float:
        """What the peak rates are multiplied by: the schedule, and what the guard lowered."""
        return rate(step, self.config) * self.guard.rate

    def _accumulate(self, batch: TensorBatch) -> tuple[Tensor, dict[str, float]]:
        """Backward through every micro-batch; their gradients add up."""
        weight = self.team.total([batch.weight])[0]
        scale = self.scaler.scale if self._scaled() else 1.0
        losses = self.passes(batch, scale, weight)
        return self.team.mean(losses, weight)

    def passes(self, batch: TensorBatch, scale: float, weight: float) -> list[Loss]:
        """Forward and, with gradients enabled, backward through every micro-batch."""
        pieces = [
            piece.to(self.backend.device)
            for piece in self.team.pieces(batch, self.config.micro_batch)
        ]
        losses: list[Loss] = []
        with self.team.judging():
            if self.pipeline:
                with self.backend.autocast():
                    return self.pipeline(self.objective, pieces, scale / weight)
            for piece in pieces:
                with self.backend.autocast():
                    loss = self.objective(self.model, piece)
                if torch.is_grad_enabled():
                    (loss.total * scale / weight).backward()
                losses.append(Loss(loss.total.detach(), loss.metrics))
        return losses

    def _clip(self) -> Tensor:
        """Scale the gradient down to the largest norm allowed; returns its norm before."""
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        if self._scaled():
            for parameter in parameters:
                assert parameter.grad is not None
                parameter.grad.mul_(1 / self.scaler.scale)
        return self.team.clip(parameters, self.config.clip or float("inf"))

    def _scaled(self) -> bool:
        return self.backend.precision == torch.float16

    def forget(self) -> None:
        """Drop the gradient."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def damage(self) -> str:
        """What is wrong with the weights or the optimizer's state; empty when nothing is."""
        where = self._damaged()
        if not self.team.any(bool(where)):
            return ""
        return f"{where or 'a part on another rank'} holds something that is no number"

    def _damaged(self) -> str:
        for name, parameter in self.model.named_parameters():
            if not local(parameter).isfinite().all():
                return f"the weight '{name}'"
        for optimizer in self.optimizers:
            for state in optimizer.state.values():
                if not all(local(value).isfinite().all() for value in state.values()):
                    return "the optimizer's state"
        return ""

    def state(self) -> dict[str, Any]:
        """The guard's and the scaler's state, for a checkpoint."""
        return {"guard": self.guard.state(), "scaler": asdict(self.scaler)}

    def resume(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave; an empty one means the start."""
        self.guard = Guard.from_state(self.config.guard, state.get("guard", {}))
        self.scaler = LossScaler(**state.get("scaler", {}))


def _calm(numbers: dict[str, float]) -> str:
    return ""


def _mix(seed: int, step: int) -> int:
    """A seed of its own for every step."""
    return (seed * 1_000_003 + step * 7_919 + 17) % 2**63
