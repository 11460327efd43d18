"""Sharing a model out over a team, in the one order that works.

Layers to pipeline stages, experts to ranks, matrices to ranks, tokens to ranks; then
recomputation and the compiler, block by block; and the shards around all of it.
"""

from torch import nn

from hornbook.model.transformer import Transformer
from hornbook.train.backend import Backend
from hornbook.train.config import TrainConfig
from hornbook.train.memory import recompute_blocks
from hornbook.train.parallel.context import share_context
from hornbook.train.parallel.expert import share_experts
from hornbook.train.parallel.pipeline import Pipeline, Stage, Stages, cut
from hornbook.train.parallel.ranks import Ranks
from hornbook.train.parallel.shard import needs_sharding, shard
from hornbook.train.parallel.tensor import split_matrices
from hornbook.train.team import Passes


def share_out(
    model: Transformer, ranks: Ranks, train: TrainConfig, backend: Backend
) -> tuple[nn.Module, Passes | None]:
    """This rank's part of ``model``, which is used up, and what runs its pipeline, if any."""
    config = ranks.config
    if config.pipeline == 1:
        _share(model, ranks, train, backend)
        return model, None
    each = 2 if config.schedule == "interleaved" else 1
    count, place = config.pipeline * each, ranks.place("pipeline")
    stages = [cut(model, place + n * config.pipeline, count) for n in range(each)]
    for stage in stages:
        _share(stage, ranks, train, backend)
    group = ranks.mesh.get_group("pipeline")
    pipeline = Pipeline(stages, config.schedule, ranks.device, group)
    return Stages(stages), pipeline.passes


def _share(
    model: Transformer | Stage, ranks: Ranks, train: TrainConfig, backend: Backend
) -> None:
    config = ranks.config
    if config.expert > 1:
        share_experts(model, ranks.mesh.get_group("expert"))
    if config.tensor > 1:
        split_matrices(model, ranks.mesh["tensor"])
    if config.context > 1:
        share_context(model, ranks.mesh.get_group("context"))
    if train.recompute:
        recompute_blocks(model)
    if backend.compile:
        for block in model.blocks:
            block.compile(dynamic=False)
    if needs_sharding(ranks):
        shard(model, ranks, backend.precision)
