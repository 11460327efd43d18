"""Choosing the axes: what fits into memory, and of that what should be fastest.

No torch here. Only what the forecast says decides; ties go to the simpler layout.
"""

from collections.abc import Iterator

import msgspec

from hornbook.core.errors import UserError
from hornbook.model.config import ModelConfig
from hornbook.train.config import TrainConfig
from hornbook.train.hardware import GPUS, Machine
from hornbook.train.parallel.config import ParallelConfig
from hornbook.train.parallel.forecast import Cluster, Forecast, forecast
from hornbook.train.parallel.layout import check

ROOM = 0.92  # of the memory may be planned for


def chosen(
    config: ParallelConfig,
    model: ModelConfig,
    train: TrainConfig,
    processes: int,
    memory: float,
    cluster: Cluster | None = None,
) -> tuple[ParallelConfig, str]:
    """The axes for ``processes`` of ``memory`` bytes each, and why these.

    Raises :class:`UserError` when nothing fits.
    """
    usual = GPUS["h100"]
    here = Machine("here", usual.peak, memory, usual.watts)
    cluster = cluster or Cluster(here)
    best: tuple[ParallelConfig, Forecast] | None = None
    tried, fit, least = 0, 0, float("inf")
    for layout in layouts(config, model, train, processes, cluster.per_node):
        found = forecast(model, train, layout, cluster)
        tried += 1
        least = min(least, found.total_memory)
        if found.total_memory > ROOM * memory:
            continue
        fit += 1
        if best is None or found.total_seconds < 0.995 * best[1].total_seconds:
            best = layout, found
    if best is None:
        raise UserError(
            f"None of {tried} ways to share this model out over {processes} processes fits "
            f"into {memory / 1e9:.0f} GB each; the nearest needs {least / 1e9:.0f} GB. Use "
            "more processes, a smaller 'pretrain.micro_batch', or 'pretrain.recompute'."
        )
    layout, found = best
    need = found.total_memory / 1e9
    why = f"auto: the fastest of {fit} that fit, of {tried}; {need:.2g} GB each"
    return layout, why


def layouts(
    config: ParallelConfig,
    model: ModelConfig,
    train: TrainConfig,
    processes: int,
    per_node: int,
) -> Iterator[ParallelConfig]:
    """Every layout the model allows, simple ones first: copies, shards, then the rest."""
    experts = model.experts.count if model.experts else 1
    for pipeline in divisors(processes):
        for tensor in divisors(processes // pipeline):
            if tensor > per_node:
                continue
            for context in divisors(processes // pipeline // tensor):
                rest = processes // pipeline // tensor // context
                for expert in divisors(rest):
                    if expert > experts:
                        continue
                    for shard in divisors(rest // expert):
                        layout = msgspec.structs.replace(
                            config,
                            auto=False,
                            data=rest // expert // shard,
                            shard=shard,
                            tensor=tensor,
                            pipeline=pipeline,
                            context=context,
                            expert=expert,
                        )
                        if _allowed(layout, model, train):
                            yield layout


def _allowed(layout: ParallelConfig, model: ModelConfig, train: TrainConfig) -> bool:
    try:
        check(layout, model, train)
    except UserError:
        return False
    return True


def divisors(number: int) -> list[int]:
    """Those of ``number``, ascending."""
    return [n for n in range(1, number + 1) if number % n == 0]
