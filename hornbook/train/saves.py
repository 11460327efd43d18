"""When checkpoints are written, by whom, and which are kept.

Writing takes a copy of the state in host memory and hands it to one thread, so that the next
steps don't wait for the disk. The result is the same to the bit. A second save waits for the
first, and so does whatever wants to read (validation, a rollback, the end).
"""

import copy
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from torch import nn
from torch.optim import Optimizer

from hornbook.core.errors import UserError
from hornbook.core.files import read_json
from hornbook.train import checkpoint
from hornbook.train.config import TrainConfig
from hornbook.train.metrics import read_metrics


class ModelFiles(Protocol):
    """How a model is written and read (the loop's hooks)."""

    @property
    def write_model(self) -> Callable[[nn.Module, Path], None]:
        """Write a model's own files into a directory."""
        ...

    @property
    def read_model(self) -> Callable[[Path], None]:
        """Load the weights of a directory back in place."""
        ...


class Saves:
    """The checkpoints of one run, below ``directory``. Used as a context: leaving waits."""

    def __init__(
        self,
        directory: Path,
        config: TrainConfig,
        model: nn.Module,
        optimizers: list[Optimizer],
        hooks: ModelFiles,
    ) -> None:
        self.directory, self.config = directory, config
        self.model, self.optimizers, self.hooks = model, optimizers, hooks
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[Path] | None = None

    def __enter__(self) -> "Saves":
        return self

    def due(self, done: int) -> bool:
        """Whether the state after ``done`` steps is to be saved.

        A run that saves along the way also saves its start, to which the guard can go back.
        """
        every = self.config.checkpoint_every
        return done == self.config.steps or (every > 0 and done % every == 0)

    def save(self, done: int, state: dict[str, Any]) -> None:
        """Save the state after ``done`` steps; ``state`` is the run's own, as JSON."""
        self.wait()
        tensors = checkpoint.optimizer_tensors(self.model, self.optimizers)
        model = host_copy(self.model) if self.config.background else self.model

        def write() -> Path:
            path = checkpoint.write(
                self.directory,
                done,
                lambda to: self.hooks.write_model(model, to),
                tensors,
                state,
            )
            prune(self.directory, self.config)
            return path

        self._writing = self._thread.submit(write)
        if not self.config.background or done == self.config.steps:
            self.wait()

    def wait(self) -> None:
        """Until nothing is being written; raises what went wrong with it."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def resume(self) -> tuple[int, dict[str, Any]]:
        """Load the newest sound checkpoint: steps done and state; 0 and empty for none."""
        found = checkpoint.latest(self.directory)
        return self._restore(found) if found else (0, {})

    def go_back(self, is_clean: Callable[[int], bool]) -> tuple[int, dict[str, Any]]:
        """Load the newest sound checkpoint that ``is_clean``, and drop those after it.

        Raises :class:`UserError` where there is none; nothing is dropped then.
        """
        self.wait()
        paths = checkpoint.checkpoints(self.directory)
        for number in reversed(range(len(paths))):
            path = paths[number]
            if is_clean(checkpoint.step_of(path)) and checkpoint.is_sound(path):
                for later in paths[number + 1 :]:
                    shutil.rmtree(later)
                return self._restore(path)
        raise UserError(
            f"{self.directory} has no clean checkpoint to go back to; set "
            "'checkpoint_every' so that there are some, or lower the learning rate."
        )

    def newest(self) -> Path:
        """The last checkpoint written."""
        self.wait()
        return checkpoint.checkpoints(self.directory)[-1]

    def _restore(self, path: Path) -> tuple[int, dict[str, Any]]:
        if (path / "shards").is_dir():  # many ranks wrote it
            from hornbook.train.parallel import shards

            shards.read(path, self.model, self.optimizers)
            return checkpoint.step_of(path), read_json(path / "trainer.json")
        state = checkpoint.restore(
            path, self.model, self.optimizers, self.hooks.read_model
        )
        return checkpoint.step_of(path), state

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self.wait()


def host_copy(model: nn.Module) -> nn.Module:
    """A copy of ``model`` in host memory, which later steps leave alone."""
    tensors = chain(model.parameters(), model.buffers())
    memo: dict[int, Any] = {}
    for tensor in tensors:
        twin = tensor.detach().to("cpu", copy=True)
        is_weight = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(twin, False) if is_weight else twin
    return copy.deepcopy(model, memo)


def prune(directory: Path, config: TrainConfig) -> None:
    """Remove the checkpoints that the settings don't ask to keep."""
    paths = {checkpoint.step_of(p): p for p in checkpoint.checkpoints(directory)}
    best = best_step(directory, list(paths)) if config.keep_best else None
    for step in paths.keys() - kept(list(paths), config, best):
        shutil.rmtree(paths[step])


def kept(steps: list[int], config: TrainConfig, best: int | None) -> set[int]:
    """Which of the checkpoints at ``steps`` (ascending) stay.

    Besides those asked for, the newest known clean one, without which the guard could not
    go back.
    """
    keep = {*steps[-config.keep_last :], *keepsakes(steps, config, best)}
    clean = [s for s in steps if s <= steps[-1] - config.guard.clean_after]
    return keep | {clean[-1] if clean else steps[0]}


def leave_keepsakes(directory: Path, config: TrainConfig) -> None:
    """Remove, once the run has ended, all checkpoints but those kept for good."""
    paths = {checkpoint.step_of(p): p for p in checkpoint.checkpoints(directory)}
    best = best_step(directory, list(paths)) if config.keep_best else None
    for step in paths.keys() - keepsakes(list(paths), config, best):
        shutil.rmtree(paths[step])


def keepsakes(steps: list[int], config: TrainConfig, best: int | None) -> set[int]:
    """The checkpoints that stay when the run has ended, too."""
    every = config.keep_every
    keep = {step for step in steps if every and step and step % every == 0}
    return keep if best is None else keep | {best}


def best_step(directory: Path, among: list[int]) -> int | None:
    """The step ``among`` those given whose validation loss is the lowest in the diary."""
    losses = {
        record["step"]: record["validation_loss"]
        for record in read_metrics(directory / "metrics.jsonl")
        if record.get("validation_loss") is not None and record["step"] in among
    }
    return min(losses, key=losses.__getitem__, default=None)
