"""When a team saves: each rank its part, beside training, published by the first as one.

The next steps wait only until each rank has copied its part to host memory. A checkpoint is
renamed into place when every rank has written, so that it is whole or absent.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.optim import Optimizer

from hornbook.core.errors import UserError
from hornbook.core.files import (
    fresh_directory,
    publish_directory,
    read_json,
    sha256,
    write_json,
)
from hornbook.train import checkpoint
from hornbook.train.config import TrainConfig
from hornbook.train.parallel import shards
from hornbook.train.saves import ModelFiles, Saves, prune


class SharedSaves(Saves):
    """The checkpoints of a run that many ranks make together, below ``directory``."""

    def __init__(
        self,
        directory: Path,
        config: TrainConfig,
        model: nn.Module,
        optimizers: list[Optimizer],
        hooks: ModelFiles,
    ) -> None:
        super().__init__(directory, config, model, optimizers, hooks)
        # Saving goes on beside the steps, so it must not speak between their collectives.
        self._group: Any = dist.new_group(backend="gloo")
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def save(self, done: int, state: dict[str, Any]) -> None:
        """Save the state after ``done`` steps; ``state`` is the run's own, as JSON."""
        self.wait()
        final = self.directory / f"step-{done:08d}"
        partial = self.directory / f"{final.name}.partial"
        if self.rank == 0:
            fresh_directory(partial / shards.FOLDER)
        dist.barrier(self._group)
        written = async_save(
            shards.tensors_of(self.model, self.optimizers),
            storage_writer=shards.writer(partial),
            process_group=self._group,
        )
        assert isinstance(written, Future)
        self._writing = self._thread.submit(
            self._publish, written, partial, final, done, state
        )
        if not self.config.background or done == self.config.steps:
            self.wait()

    def _publish(
        self,
        written: Future[Any],
        partial: Path,
        final: Path,
        done: int,
        state: dict[str, Any],
    ) -> Path:
        written.result()
        paths = sorted((partial / shards.FOLDER).glob("*.safetensors"))
        mine = paths[self.rank :: self.size]
        digests = {p.relative_to(partial).as_posix(): sha256(p) for p in mine}
        everyones: list[Any] = [None] * self.size
        dist.all_gather_object(everyones, digests, group=self._group)
        if self.rank == 0:
            write_json(partial / "trainer.json", state)
            files = {
                name: digest for part in everyones for name, digest in part.items()
            }
            files["trainer.json"] = sha256(partial / "trainer.json")
            write_json(partial / "training.json", {"step": done, "files": files})
            publish_directory(partial, final)
            prune(self.directory, self.config)
        dist.barrier(self._group)
        return final

    def resume(self) -> tuple[int, dict[str, Any]]:
        """Load the newest sound checkpoint: steps done and state; 0 and empty for none."""
        for path in reversed(checkpoint.checkpoints(self.directory)):
            if self._sound(path):
                return self._restore(path)
        return 0, {}

    def go_back(self, is_clean: Callable[[int], bool]) -> tuple[int, dict[str, Any]]:
        """Load the newest sound checkpoint that ``is_clean``, and drop those after it."""
        self.wait()
        paths = checkpoint.checkpoints(self.directory)
        dist.barrier(self._group)  # all have looked before any is dropped
        for number in reversed(range(len(paths))):
            path = paths[number]
            if is_clean(checkpoint.step_of(path)) and self._sound(path):
                for later in paths[number + 1 :] if self.rank == 0 else ():
                    shutil.rmtree(later)
                return self._restore(path)
        raise UserError(
            f"{self.directory} has no clean checkpoint to go back to; set "
            "'checkpoint_every' so that there are some, or lower the learning rate."
        )

    def _sound(self, path: Path) -> bool:
        """:func:`checkpoint.is_sound`, every rank looking at its share of the files."""
        bad = checkpoint.damage(path, self.rank, self.size)
        verdicts: list[Any] = [None] * self.size
        dist.all_gather_object(verdicts, bool(bad), group=self._group)
        return not any(verdicts)

    def _restore(self, path: Path) -> tuple[int, dict[str, Any]]:
        shards.read(path, self.model, self.optimizers)
        return checkpoint.step_of(path), read_json(path / "trainer.json")
