"""What a recipe's pretraining needs on many GPUs: layout, memory, traffic, days, money."""

from dataclasses import dataclass
from typing import Any

import msgspec

from hornbook.core.errors import UserError
from hornbook.planning import shape_of, table_gpu
from hornbook.recipe import Recipe
from hornbook.train.parallel.auto import ROOM, chosen
from hornbook.train.parallel.config import ParallelConfig
from hornbook.train.parallel.forecast import Cluster, Forecast, forecast
from hornbook.train.parallel.layout import check, filled


@dataclass(frozen=True)
class ClusterOutlook:
    """A training on ``gpus`` GPUs; ``recompute`` says whether its blocks must forget."""

    gpus: int
    cluster: Cluster
    layout: ParallelConfig
    why: str
    recompute: bool
    step: Forecast
    fits: bool
    days: float
    dollars: float
    kwh: float


def cluster_outlook(
    recipe: Recipe, gpus: int, gpu: str | None, price: float
) -> ClusterOutlook:
    """The outlook as ``[parallel]`` says, or with the layout that should be fastest.

    Blocks that forget are tried where nothing fits without. Raises :class:`UserError` for
    axes that don't fit so many GPUs, and where nothing fits at all.
    """
    shape, train = shape_of(recipe), recipe.pretrain
    config = recipe.parallel or ParallelConfig(auto=True)
    cluster = Cluster(table_gpu(gpu or "H100"))
    memory = cluster.gpu.memory
    if config.auto:
        try:
            layout, why = chosen(config, shape, train, gpus, memory, cluster)
        except UserError:
            if train.recompute:
                raise
            train = msgspec.structs.replace(train, recompute=True)
            layout, why = chosen(config, shape, train, gpus, memory, cluster)
    else:
        layout, why = filled(config, gpus), "as [parallel] says"
        check(layout, shape, train)
    step = forecast(shape, train, layout, cluster)
    hours = train.steps * step.total_seconds / 3600
    return ClusterOutlook(
        gpus,
        cluster,
        layout,
        why,
        train.recompute,
        step,
        step.total_memory <= ROOM * memory,
        hours / 24,
        hours * gpus * (price or cluster.gpu.price),
        hours * gpus * cluster.gpu.watts / 1000,
    )


def table(outlook: ClusterOutlook) -> dict[str, Any]:
    """The outlook in plain numbers, for JSON."""
    step = outlook.step
    return {
        "gpus": outlook.gpus,
        "gpu": outlook.cluster.gpu.name,
        "parallel": msgspec.to_builtins(outlook.layout),
        "why": outlook.why,
        "recompute": outlook.recompute,
        "memory": step.memory,
        "total_memory": step.total_memory,
        "fits": outlook.fits,
        "traffic": step.traffic,
        "seconds": step.seconds,
        "seconds_per_step": step.total_seconds,
        "bubble": step.bubble,
        "mfu": step.mfu,
        "tokens_per_second": step.tokens_per_second,
        "days": outlook.days,
        "dollars": outlook.dollars,
        "kwh": outlook.kwh,
    }
