"""The training loop: one for pretraining, instruction tuning and preferences.

It takes a model, an objective and a batch source, and knows no more about them. Killed at
any moment and started again, it ends in the same weights, bit for bit on a CPU, because

* ``batches(step)`` is a pure function, so there is no loader state to lose,
* the random state is set anew from (seed, step) before every step,
* a checkpoint is published whole or not at all.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress, short_number
from hornbook.data.batch import TensorBatch
from hornbook.train import checkpoint
from hornbook.train.backend import Backend
from hornbook.train.config import TrainConfig
from hornbook.train.metrics import Metrics
from hornbook.train.objective import Loss, Objective
from hornbook.train.optim import build_optimizers, set_rate
from hornbook.train.schedule import rate


@dataclass(frozen=True)
class Hooks:
    """What the loop calls and does not understand.

    ``write_model(directory)`` writes the model's own files into a checkpoint and
    ``read_model(directory)`` loads the weights back in place; ``validate()`` returns named
    held-out numbers; ``sample()`` returns texts.
    """

    write_model: Callable[[Path], None]
    read_model: Callable[[Path], None]
    validate: Callable[[], dict[str, float]] | None = None
    sample: Callable[[], list[dict[str, str]]] | None = None


def train(
    model: nn.Module,
    objective: Objective,
    batches: Callable[[int], TensorBatch],
    config: TrainConfig,
    directory: Path,
    hooks: Hooks,
    *,
    backend: Backend,
    seed: int,
    label: str,
) -> Path:
    """Run ``config.steps`` steps, going on from the latest checkpoint in ``directory``.

    ``batches(step)`` gives the step's batch. Returns the last checkpoint's directory; the
    diary is ``directory/metrics.jsonl``. Raises :class:`UserError` when the loss stops
    being a number.
    """
    backend.prepare()
    model.to(backend.device).train()
    optimizers = build_optimizers(model, config)
    saved = checkpoint.latest(directory)
    done = (
        checkpoint.restore(saved, model, optimizers, hooks.read_model) if saved else 0
    )
    run = _Run(model, backend.compiled(objective), optimizers, config, backend, seed)
    metrics = Metrics(directory / "metrics.jsonl", resumed_step=done)
    try:
        with Progress(label, total=config.steps, unit="step", done=done) as progress:
            for step in range(done, config.steps):
                record = run.step(step, batches(step))
                metrics.write(**record)
                progress.advance(note=_note(record))
                saved = _after(run, step + 1, hooks, metrics, directory) or saved
    finally:
        metrics.close()
    assert saved is not None
    return saved


def _after(
    run: "_Run", done: int, hooks: Hooks, metrics: Metrics, directory: Path
) -> Path | None:
    """What is due once ``done`` steps are done: save first, then validate and sample."""
    config, last, saved = run.config, done == run.config.steps, None
    if last or _due(done, config.checkpoint_every):
        saved = checkpoint.save(
            directory, done, run.model, run.optimizers, hooks.write_model
        )
    validate = hooks.validate if last or _due(done, config.validate_every) else None
    sample = hooks.sample if last or _due(done, config.sample_every) else None
    if validate or sample:
        run.model.eval()
        if validate:
            metrics.write(step=done, **validate())
        if sample:
            metrics.write(step=done, samples=sample())
        run.model.train()
    return saved


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0


def _note(record: dict[str, Any]) -> str:
    return (
        f"loss {record['loss']:.3f}, {short_number(record['tokens_per_second'])} tok/s"
    )


@dataclass(frozen=True)
class _Run:
    """One step at a time."""

    model: nn.Module
    objective: Objective
    optimizers: list[Optimizer]
    config: TrainConfig
    backend: Backend
    seed: int

    def step(self, step: int, batch: TensorBatch) -> dict[str, Any]:
        """Forward, backward, clip, update; returns the diary's record of it."""
        started = time.perf_counter()
        torch.manual_seed(_mix(self.seed, step))
        loss, extra = self._gradients(batch)
        norm = self._clip()
        if not torch.isfinite(loss + norm):
            raise UserError(
                f"The loss is no longer a number at step {step}; "
                "a lower learning rate is the usual remedy."
            )
        share = rate(step, self.config)
        set_rate(self.optimizers, share)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - started
        return {
            "step": step + 1,
            "loss": loss.item(),
            "rate": share * self.config.learning_rate,
            "gradient_norm": norm.item(),
            "tokens_per_second": batch.n_tokens / seconds,
            "seconds": seconds,
            **extra,
        }

    def _gradients(self, batch: TensorBatch) -> tuple[Tensor, dict[str, float]]:
        """Accumulate the gradient of the mean loss over ``batch``'s micro-batches."""
        weight = batch.weight
        losses: list[Loss] = []
        for micro_batch in batch.split(self.config.micro_batch):
            with self.backend.autocast():
                loss = self.objective(self.model, micro_batch.to(self.backend.device))
            (loss.total / weight).backward()
            losses.append(loss)
        mean = torch.stack([loss.total.detach() for loss in losses]).sum() / weight
        extra = {
            name: float(sum(float(loss.metrics[name]) for loss in losses) / weight)
            for name in losses[0].metrics
        }
        return mean, extra

    def _clip(self) -> Tensor:
        """Scale the gradient down to the largest norm allowed; returns its norm before."""
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        limit = self.config.clip or float("inf")
        return nn.utils.clip_grad_norm_(parameters, limit).detach()


def _mix(seed: int, step: int) -> int:
    """A seed of its own for every step."""
    return (seed * 1_000_003 + step * 7_919 + 17) % 2**63
