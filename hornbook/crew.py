"""A run by many processes: the first does the stages, the others join in the shared ones.

`torchrun` (or `srun`) starts the same command many times. The first process works through
the recipe as it would alone; before a stage in which all take part it tells the others, who
wait for nothing else. The run directory must be one that all can reach.
"""

import os
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import torch
import torch.distributed as dist
from rich.text import Text

from hornbook.core.errors import UserError
from hornbook.core.progress import console
from hornbook.pipeline import Stage, Task
from hornbook.planning import shape_of
from hornbook.recipe import Recipe
from hornbook.train.parallel.auto import chosen
from hornbook.train.parallel.config import ParallelConfig
from hornbook.train.parallel.layout import AXES, check, filled
from hornbook.train.parallel.ranks import Ranks, join, leave

PATIENCE = timedelta(days=30)  # data stages may take long, and the others wait


@dataclass(frozen=True)
class Crew:
    """All processes of a run: ``ranks`` is this one's place, ``store`` what all can read."""

    ranks: Ranks
    store: Any

    def past(self, stage: Stage) -> None:
        """Those who wait for ``stage``, the one shared, are told that it is done."""
        if stage.joint and not self.store.check([stage.name]):
            self.tell(stage.name, "skip")

    def leave(self) -> None:
        """Take leave of the others."""
        leave()

    def tell(self, stage: str, what: str) -> None:
        """Say what is done about ``stage``: "work" or "skip"."""
        self.store.set(stage, what)

    def hear(self, stage: str) -> str:
        """What the first process does about ``stage``, when it comes to it."""
        self.store.wait([stage], PATIENCE)
        return self.store.get(stage).decode()

    def led(self, stage: Stage) -> Stage:
        """``stage``, and when it is a shared one the others are told to join it."""
        if not stage.joint:
            return stage

        def work(task: Task) -> dict[str, Any]:
            self.tell(stage.name, "work")
            return stage.work(self.joined(task))

        return replace(stage, work=work)

    def joined(self, task: Task) -> Task:
        """``task`` as one of many does it."""
        return replace(task, team=self.ranks, device=str(self.ranks.device))

    def follow(self, recipe: Recipe, run: Path, stages: list[Stage]) -> None:
        """Join in what the first process says, and end with the last such stage."""
        for stage in stages:
            if stage.joint and self.hear(stage.name) == "work":
                partial = run / f"{stage.name}.partial"
                stage.work(self.joined(Task(recipe, partial, run)))


def assemble(recipe: Recipe, device: str) -> Crew:
    """Meet the other processes and take places as ``[parallel]`` says.

    Raises :class:`UserError` for axes that don't fit; the first process tells.
    """
    config = recipe.parallel or ParallelConfig()
    where, store = join(device, config.timeout)
    try:
        shape, train = shape_of(recipe), recipe.pretrain
        processes = dist.get_world_size()
        if config.auto:
            config, why = chosen(config, shape, train, processes, memory_of(where))
        else:
            config, why = filled(config, processes), ""
        check(config, msgspec.structs.replace(shape, vocab_size=1), train)
    except UserError:
        if dist.get_rank():
            sys.exit(1)
        raise
    ranks = Ranks(config, where)
    if ranks.first:
        say(config, processes, why)
    return Crew(ranks, store)


def memory_of(device: Any) -> float:
    """Bytes that ``device`` has for this process."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) / here


def say(config: ParallelConfig, processes: int, why: str) -> None:
    """One line about who does what."""
    axes = [f"{a} {getattr(config, a)}" for a in AXES if getattr(config, a) > 1]
    told = f"{processes} processes: {', '.join(axes) or 'nothing to share'}"
    console.print(Text(f"{'parallel':10} {told}{f' ({why})' if why else ''}"))
