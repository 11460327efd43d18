"""Tensor and sequence parallelism: every matrix split over ranks that sit close together.

Megatron's split (Shoeybi et al. 2019, arXiv 1909.08053): queries, keys, values, ``up`` and
``gate`` by their outputs, so that each rank has some heads and some of the inner width;
``output`` and ``down`` by their inputs, whose partial results are added up. Between the
two, norms and the residual stream, each rank keeps a part of the sequence (Korthikanti et
al. 2022, arXiv 2205.05198). The vocabulary is split as well: the embedding by its rows, the
head by its outputs, and the loss is computed without ever gathering the logits
(cross_entropy.py).

The plan names modules; the modules don't know.
"""

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    PrepareModuleOutput,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

from hornbook.model.transformer import Transformer


def split_matrices(model: Transformer, mesh: DeviceMesh) -> None:
    """Split ``model``, or one stage of it, over the ranks of ``mesh`` in place."""
    parallelize_module(model, mesh, _ends(model))
    for block in model.blocks:
        parallelize_module(block, mesh, _block(block))


def _ends(model: Transformer) -> dict[str, ParallelStyle]:
    """What comes before and after the blocks; a stage has a stand-in for what it lacks."""
    rows, everywhere = Shard(1), Replicate()
    plan: dict[str, ParallelStyle] = {}
    if isinstance(model.embedding, nn.Embedding):
        plan["embedding"] = RowwiseParallel(
            input_layouts=everywhere, output_layouts=rows
        )
    else:
        plan["embedding"] = PrepareModuleOutput(
            output_layouts=everywhere, desired_output_layouts=rows
        )
    if isinstance(model.norm, nn.Identity):
        plan["norm"] = PrepareModuleOutput(
            output_layouts=rows, desired_output_layouts=everywhere
        )
    else:
        plan["norm"] = SequenceParallel()
    if model.head is not None:
        plan["head"] = ColwiseParallel()
    return plan


def _block(block: nn.Module) -> dict[str, ParallelStyle]:
    rows = Shard(1)

    def columns_then_rows(part: str, columns: list[str], out: str):
        whole = Replicate()
        if part == "attention":
            entry = PrepareModuleInput(
                input_layouts=(rows, None), desired_input_layouts=(whole, None)
            )
        else:
            entry = PrepareModuleInput(
                input_layouts=(rows,), desired_input_layouts=(whole,)
            )
        return {
            part: entry,
            **{f"{part}.{name}": ColwiseParallel() for name in columns},
            f"{part}.{out}": RowwiseParallel(output_layouts=rows),
        }

    plan: dict[str, ParallelStyle] = {
        "attention_norm": SequenceParallel(),
        "feed_forward_norm": SequenceParallel(),
        **columns_then_rows("attention", ["query", "key", "value"], "output"),
        **columns_then_rows("feed_forward", ["up"], "down"),
    }
    names = {name for name, _ in block.named_modules()}
    if "feed_forward.gate" in names:
        plan["feed_forward.gate"] = ColwiseParallel()
    for name in ("attention_out_norm", "feed_forward_out_norm"):
        if name in names:
            plan[name] = SequenceParallel(use_local_output=True)
    for name in ("attention.query_norm", "attention.key_norm"):
        if any(True for _ in block.get_submodule(name).parameters()):
            # (batch, time, heads, d_head): each rank has its own heads
            plan[name] = SequenceParallel(sequence_dim=2, use_local_output=True)
    return plan
