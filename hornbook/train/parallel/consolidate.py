"""A sharded checkpoint as a model directory that Transformers opens.

One block at a time, so that nobody ever holds the whole model; ranks share out the blocks.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from hornbook.core.files import (
    fresh_directory,
    publish_directory,
    sha256,
    sync,
    write_json,
)
from hornbook.model.config import ModelConfig
from hornbook.model.huggingface import WEIGHTS, TokenIds, write_config
from hornbook.model.layouts import layout_for
from hornbook.model.transformer import Transformer
from hornbook.train.checkpoint import step_of
from hornbook.train.parallel import shards
from hornbook.train.parallel.ranks import Ranks
from hornbook.train.team import Alone


def consolidate(
    checkpoint: Path,
    config: ModelConfig,
    out: Path,
    token_ids: TokenIds | None = None,
    *,
    rank: int = 0,
    ranks: int = 1,
) -> dict[str, list[str]]:
    """Write this rank's share of the weights files below ``out``.

    Returns the names of the tensors in each file it wrote, for :func:`finish`.
    """
    out.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        shapes = Transformer(config).state_dict()
    parts = groups(list(shapes))
    written: dict[str, list[str]] = {}
    for number, names in enumerate(parts):
        if number % ranks != rank:
            continue
        state: dict[str, Tensor] = {
            name: torch.empty(shapes[name].shape, dtype=torch.float32) for name in names
        }
        shards.load_alone(state, checkpoint)
        tensors = layout_for(config).export(state)
        name = WEIGHTS.replace(
            ".safetensors", f"-{number + 1:05d}-of-{len(parts):05d}.safetensors"
        )
        whole = {key: tensor.contiguous() for key, tensor in tensors.items()}
        save_file(whole, out / name, metadata={"format": "pt"})
        sync(out / name)
        written[name] = sorted(whole)
    if rank == 0:
        write_config(config, out, "float32", token_ids)
    return written


def consolidate_together(
    team: Alone | None,
    checkpoint: Path,
    config: ModelConfig,
    final: Path,
    save_tokenizer: Callable[[Path], None],
    token_ids: TokenIds,
) -> None:
    """Publish ``checkpoint`` as the model directory ``final``; all ranks take part.

    The checkpoint goes when the model is there.
    """
    partial = final.with_name(f"{final.name}.partial")
    rank, ranks = (team.rank, team.size) if isinstance(team, Ranks) else (0, 1)
    if rank == 0:
        save_tokenizer(fresh_directory(partial))
    _meet(ranks)
    written = consolidate(
        checkpoint, config, partial, token_ids, rank=rank, ranks=ranks
    )
    everyones: list[Any] = [written]
    if ranks > 1:
        everyones = [None] * ranks
        dist.all_gather_object(everyones, written)
    if rank == 0:
        files = {name: keys for part in everyones for name, keys in part.items()}
        finish(partial, files, step_of(checkpoint))
        publish_directory(partial, final)
        shutil.rmtree(checkpoint)
    _meet(ranks)


def _meet(ranks: int) -> None:
    if ranks > 1:
        dist.barrier()


def groups(names: list[str]) -> list[list[str]]:
    """``names`` apart: those of each block together, every other one by itself."""
    found: dict[str, list[str]] = {}
    for name in names:
        block = re.match(r"blocks\.\d+\.", name)
        found.setdefault(block[0] if block else name, []).append(name)
    return list(found.values())


def finish(out: Path, written: dict[str, list[str]], step: int) -> None:
    """Write the index of all ranks' files, and the digests a finished model has."""
    index = {key: file for file, keys in sorted(written.items()) for key in keys}
    size = sum((out / file).stat().st_size for file in written)
    write_json(
        out / f"{WEIGHTS}.index.json",
        {"metadata": {"total_size": size}, "weight_map": index},
    )
    paths = sorted(
        p for p in out.iterdir() if p.is_file() and p.name != "training.json"
    )
    files = {path.name: sha256(path) for path in paths}
    write_json(out / "training.json", {"step": step, "files": files})
