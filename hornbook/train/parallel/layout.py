"""The axes in numbers: which make up the processes, and what a model allows.

No torch here: a plan for a cluster asks for it as well.
"""

import msgspec

from hornbook.core.errors import UserError
from hornbook.model.config import ModelConfig
from hornbook.train.config import TrainConfig
from hornbook.train.parallel.config import ParallelConfig

# From the slowest connection to the fastest: neighbours in the last axis sit closest.
AXES = ("pipeline", "data", "expert", "shard", "context", "tensor")
ROWS = ("data", "expert", "shard")  # ranks along these see rows of their own


def filled(config: ParallelConfig, processes: int) -> ParallelConfig:
    """``config`` with ``data`` set to what the other axes leave of ``processes``.

    Raises :class:`UserError` where they don't divide.
    """
    others = 1
    for axis in AXES:
        others *= getattr(config, axis) if axis != "data" else 1
    data = config.data or processes // others
    if not data or data * others != processes:
        named = ", ".join(f"{a} {getattr(config, a)}" for a in AXES if a != "data")
        raise UserError(
            f"[parallel] asks for {named}"
            + (f", data {config.data}" if config.data else "")
            + f": {max(config.data, 1) * others} processes or a multiple of it, and there "
            f"are {processes}; change the table, or start as many."
        )
    return msgspec.structs.replace(config, data=data)


def copies(config: ParallelConfig) -> int:
    """How many ranks have rows of their own."""
    return config.data * config.expert * config.shard


def check(config: ParallelConfig, model: ModelConfig, train: TrainConfig) -> None:
    """Raise :class:`UserError` for axes that ``model`` or ``train`` can't be split along."""
    rows = copies(config)
    if train.batch < rows:
        raise UserError(
            f"'pretrain.batch' ({train.batch}) is fewer rows than the {rows} ranks that "
            "each need one; raise it, or lower 'parallel.data' or 'parallel.shard'."
        )
    if config.tensor > 1:
        _check_tensor(config.tensor, config.context, model)
        for key in ("z_loss", "logit_chunk"):
            if getattr(train, key):
                raise UserError(
                    f"'parallel.tensor' splits the vocabulary, and 'pretrain.{key}' wants "
                    "it whole; set it to 0."
                )
    if config.pipeline > 1:
        _check_pipeline(config, model, train)
    if config.context > 1 and model.context_length % (2 * config.context):
        raise UserError(
            f"'model.context_length' ({model.context_length}) must be a multiple of twice "
            f"'parallel.context' ({config.context})."
        )
    if config.expert > 1:
        count = model.experts.count if model.experts else 0
        if not count or count % config.expert:
            raise UserError(
                f"'parallel.expert' ({config.expert}) must divide 'model.experts.count' "
                f"({count or 'the model has no experts'})."
            )
    if train.optimizer == "muon" and config.expert > 1:
        raise UserError("'parallel.expert' needs 'pretrain.optimizer' adamw.")


def _check_tensor(ranks: int, context: int, model: ModelConfig) -> None:
    unfit = {
        "latent": model.latent is not None,
        "experts": model.experts is not None,
        "value_embeddings": model.value_embeddings,
        "skips": model.skips,
        "position": model.position not in ("rope", "none"),
        "norm_place": model.norm_place == "post",
    }
    for key, is_unfit in unfit.items():
        if is_unfit:
            raise UserError(
                f"'parallel.tensor' can't split a model with this 'model.{key}'; use "
                "'parallel.shard' instead."
            )
    for key in ("n_heads", "n_kv_heads"):
        if getattr(model, key) % ranks:
            raise UserError(
                f"'model.{key}' ({getattr(model, key)}) must be a multiple of "
                f"'parallel.tensor' ({ranks})."
            )
    if model.context_length % (ranks * context):
        raise UserError(
            f"'model.context_length' ({model.context_length}) must be a multiple of "
            f"'parallel.tensor' times 'parallel.context' ({ranks * context})."
        )


def _check_pipeline(
    config: ParallelConfig, model: ModelConfig, train: TrainConfig
) -> None:
    stages = config.pipeline * (2 if config.schedule == "interleaved" else 1)
    if model.n_layers < stages:
        raise UserError(
            f"'model.n_layers' ({model.n_layers}) is fewer than the {stages} stages of the "
            "pipeline."
        )
    for key in ("tied", "skips", "value_embeddings"):
        if getattr(model, key):
            raise UserError(
                f"'parallel.pipeline' can't cut a model whose 'model.{key}' ties its ends "
                "together; set it to false."
            )
    rows, odd = divmod(train.batch, copies(config))
    pieces = n_pieces(rows, train.micro_batch, config.pipeline)
    if odd or rows % pieces or pieces < config.pipeline:
        raise UserError(
            f"A pipeline of {config.pipeline} needs at least as many equal micro-batches: "
            f"'pretrain.batch' ({train.batch}) over {copies(config)} ranks gives {rows} "
            f"rows in {pieces} pieces; change 'pretrain.batch' or 'pretrain.micro_batch'."
        )
    if config.schedule == "interleaved" and pieces % config.pipeline:
        raise UserError(
            f"The interleaved schedule needs a multiple of {config.pipeline} micro-batches, "
            f"not {pieces}; change 'pretrain.micro_batch'."
        )


def n_pieces(rows: int, micro_batch: int, pipeline: int = 1) -> int:
    """In how many micro-batches ``rows`` are taken; a pipeline wants one for each rank."""
    if not micro_batch:
        return pipeline
    return max(-(-rows // micro_batch), 1)
