"""The training loop: one for pretraining, instruction tuning and preferences.

It takes a model, an objective and a batch source, and knows no more about them. Killed at
any moment and started again, it ends in the same weights, bit for bit on a CPU, because

* ``batches(n)`` is a pure function, so there is no loader state to lose,
* the random state is set anew from (seed, step) before every step,
* what the guard knows is in the checkpoint, and it decides by nothing else,
* a checkpoint is published whole or not at all.

One step is in step.py, the guard in guard.py, checkpoints in saves.py and checkpoint.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from hornbook.core.errors import StoppedEarly
from hornbook.data.batch import TensorBatch
from hornbook.train.backend import Backend
from hornbook.train.config import TrainConfig
from hornbook.train.guard import Guard
from hornbook.train.meter import Meter
from hornbook.train.metrics import Metrics, Unwritten
from hornbook.train.objective import Objective
from hornbook.train.optim import build_optimizers
from hornbook.train.saves import Saves
from hornbook.train.step import Trainer
from hornbook.train.stopping import Stopping
from hornbook.train.team import Alone
from hornbook.train.trackers import open_trackers
from hornbook.train.view import Unseen, View

Alarm = Callable[[dict[str, float]], str]


@dataclass(frozen=True)
class Hooks:
    """What the loop calls and does not understand.

    ``write_model(model, directory)`` writes the model's own files into a checkpoint (from
    another thread, and a copy of the model) and ``read_model(directory)`` loads the weights
    back in place; ``validate()`` returns named held-out numbers, ``validate_together(trainer)``
    those of many ranks; ``sample()`` returns texts;
    ``alarm(numbers)`` says what is wrong with a step's numbers before it touches the weights
    (empty: nothing), in matters of which the guard knows nothing.
    """

    write_model: Callable[[nn.Module, Path], None]
    read_model: Callable[[Path], None]
    validate: Callable[[], dict[str, float]] | None = None
    sample: Callable[[], list[dict[str, str]]] | None = None
    alarm: Alarm | None = None
    validate_together: Callable[[Trainer], dict[str, float]] | None = None


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
    meter: Meter | None = None,
    team: Alone | None = None,
) -> Path:
    """Run ``config.steps`` steps, going on from the latest checkpoint in ``directory``.

    ``batches(n)`` gives the n-th batch; ``team`` says who else trains (team.py).
    Returns the last checkpoint's directory; the diary is ``directory/metrics.jsonl``.
    Raises :class:`UserError` when memory runs out, and when the guard gives up, and
    :class:`StoppedEarly` when a signal asked to stop.
    """
    trainer = prepare(model, objective, config, backend, seed, team)
    team = trainer.team
    trainer.alarm = hooks.alarm
    saves = team.saves(directory, config, trainer.model, trainer.optimizers, hooks)
    metrics, meter = open_diary(directory, team), meter or Meter()
    step, state = saves.resume()
    trainer.resume(state)
    metrics.cut(step, trainer.guard.events)
    if team.first:
        metrics.trackers = open_trackers(config, directory, label, step)
    view = View(label, config.steps, step) if team.first else Unseen(label, 0, 0)
    with team.watching(directory), metrics, saves, view, Stopping() as stopping:
        if step == 0 and config.checkpoint_every:
            saves.save(0, trainer.state())  # the guard can go back to the start
        while step < config.steps:
            batch = team.batch(batches, trainer.guard.batch_of(step))
            record, wrong = trainer.step(step, batch)
            damage = trainer.damage() if saves.due(step + 1) and not wrong else ""
            if wrong or damage:
                step = recover(trainer, saves, metrics, view, step, wrong, damage)
                continue
            step += 1
            tokens = team.tokens(batch)
            record |= meter.read(tokens, record["seconds"], record["loss"])
            metrics.write(**record)
            view.step(record)
            if saves.due(step):
                saves.save(step, trainer.state())
            look(trainer, saves, hooks, metrics, view, step)
            if step < config.steps and team.any(bool(stopping.asked)):
                if not saves.due(step):
                    saves.save(step, trainer.state())
                saves.wait()
                raise StoppedEarly(_stopped(label, step, stopping.asked))
    return saves.newest()


def _stopped(label: str, step: int, signal: str) -> str:
    told = (
        f"{label}: asked to stop{f' ({signal})' if signal else ''}; saved after step "
    )
    return f"{told}{step}. The same command goes on from there."


def open_diary(directory: Path, team: Alone) -> Metrics:
    """The run's diary, which the first rank writes and the others don't."""
    if team.first:
        return Metrics(directory / "metrics.jsonl")
    return Unwritten()


def prepare(
    model: nn.Module,
    objective: Objective,
    config: TrainConfig,
    backend: Backend,
    seed: int,
    team: Alone | None = None,
) -> Trainer:
    """Put this process's part of ``model`` on its device and build what trains it."""
    team = team or Alone()
    backend.prepare()
    model.train()
    part, run, pipeline = team.take(model, objective, config, backend)
    optimizers, guard = build_optimizers(part, config), Guard(config.guard)
    return Trainer(
        part,
        run,
        optimizers,
        config,
        backend,
        seed,
        guard,
        team=team,
        pipeline=pipeline,
    )


def recover(
    trainer: Trainer,
    saves: Saves,
    metrics: Metrics,
    view: View,
    step: int,
    wrong: str,
    damage: str,
) -> int:
    """Pass over the batch of a bad step, or go back; returns the step to go on with.

    Going back is nothing but resuming from an earlier checkpoint.
    """
    guard = trainer.guard
    if guard.strike(step, wrong or damage, damaged=bool(damage)):
        to, state = saves.go_back(guard.is_clean)
        trainer.resume(state)
        guard.roll_back(step, wrong or damage, to, before=trainer.guard)
        trainer.guard = guard
        metrics.cut(to, guard.events)
        step = to
    metrics.write(**guard.events[-1])
    view.event(guard.events[-1], step)
    return step


def look(
    trainer: Trainer,
    saves: Saves,
    hooks: Hooks,
    metrics: Metrics,
    view: View,
    done: int,
) -> None:
    """Validate and sample where that is due, never before what was saved is safe."""
    config, last = trainer.config, done == trainer.config.steps
    validate = hooks.validate
    if hooks.validate_together:
        validate = partial(hooks.validate_together, trainer)
    validate = validate if last or _due(done, config.validate_every) else None
    sample = hooks.sample if last or _due(done, config.sample_every) else None
    if not (validate or sample):
        return
    saves.wait()
    trainer.model.eval()
    if validate:
        numbers = validate()
        metrics.write(step=done, **numbers)
        view.validated(numbers)
    if sample:
        metrics.write(step=done, samples=sample())
    trainer.model.train()


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0
