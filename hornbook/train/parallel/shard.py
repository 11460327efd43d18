"""Copies and shards: each rank sees other rows, and keeps a part of every weight (FSDP2).

With ``shard`` 1 every rank keeps all weights and the gradients are added up (data
parallelism); with more, weights, gradients and optimizer are split, and gathered block by
block when they are needed (ZeRO-3, Rajbhandari et al. 2020, arXiv 1910.02054; FSDP, Zhao
et al. 2023, arXiv 2304.11277). Both at once is the hybrid: shards within ``shard`` ranks,
copies across ``data``. Context and expert ranks share the work of the other weights, too.

Gradients are added up, not averaged: the step divides the loss by the whole batch's weight
already, so that uneven shares come out exactly.
"""

import warnings

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)

from hornbook.train.parallel.ranks import Ranks


def shard(model: nn.Module, ranks: Ranks, precision: torch.dtype) -> None:
    """Split ``model`` in place; ``precision`` is that of products within the blocks."""
    config = ranks.config
    as_it_is = MixedPrecisionPolicy(cast_forward_inputs=False)
    lower = MixedPrecisionPolicy(precision, torch.float32, None, False)
    within = lower if precision != torch.float32 else as_it_is
    dense = _mesh(ranks, "expert", "shard", "context")
    routed = _mesh(ranks, "shard", "context")

    def split(module: nn.Module, mesh: DeviceMesh, keep: bool, policy=within) -> None:
        fully_shard(module, mesh=mesh, reshard_after_forward=not keep, mp_policy=policy)
        assert isinstance(module, FSDPModule)
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)

    for block in model.blocks:  # type: ignore[union-attr]
        if config.expert > 1:
            split(block.feed_forward.experts, routed, not config.reshard)  # type: ignore
        split(block, dense, not config.reshard)
    # Embedding and head in float32, so that the stream between the blocks is, too.
    split(model, dense, True, as_it_is)
    for method in ("hidden", "unembed"):  # objectives call these by name
        register_fsdp_forward_method(model, method)


def needs_sharding(ranks: Ranks) -> bool:
    """Whether gradients must be added up, or weights are split, over any axis."""
    axes = ("data", "expert", "shard", "context")
    return any(getattr(ranks.config, axis) > 1 for axis in axes)


def _mesh(ranks: Ranks, *axes: str) -> DeviceMesh:
    """Copies along ``data``, shards along the joined ``axes``."""
    if ranks.config.data == 1:
        return ranks.joined(*axes)
    name = "_".join(axis for axis in ranks.mesh.mesh_dim_names or () if axis in axes)
    ranks.joined(*axes)
    with warnings.catch_warnings():  # nothing else makes a mesh of both yet
        warnings.filterwarnings("ignore", "Slicing a flattened dim")
        return ranks.mesh["data", name]
