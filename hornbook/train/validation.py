"""How well a model predicts held-out text: nats per token, bits per byte, per source too."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from hornbook.data.batch import IGNORE
from hornbook.data.loader import validation_batches
from hornbook.data.shards import Shards
from hornbook.infer.scoring import target_nats


def validator(
    model: nn.Module,
    shards: Shards,
    decode_bytes: Callable[[list[int]], bytes],
    context_length: int,
    batch: int,
    precision: torch.dtype = torch.float32,
) -> Callable[[], dict[str, float]]:
    """A function that predicts every token of ``shards`` once, and says how well.

    It gives ``validation_loss`` (nats per token) and ``validation_bits_per_byte``, and
    where there are several sources ``validation_bits_per_byte.NAME`` of each. A source's
    bytes are those its tokens spell.
    """
    sizes = bytes_per_source(shards, decode_bytes)
    ends = {name: _ends(shards, name)[1] for name in sizes}

    def validate() -> dict[str, float]:
        nats = np.zeros(len(sizes))
        edges = np.array(list(ends.values()))
        start = 0
        for part in validation_batches(shards, context_length, batch):
            counts = (part.targets != IGNORE).flatten()
            values = target_nats(model, part, precision).flatten()[counts].double()
            places = np.arange(start, start + len(values))
            source = np.searchsorted(edges, places, side="right")
            nats += np.bincount(source, values.numpy(), minlength=len(sizes))
            start += len(values)
        return _numbers(dict(zip(sizes, nats, strict=True)), sizes, shards)

    return validate


def _numbers(
    nats: dict[str, float], sizes: dict[str, float], shards: Shards
) -> dict[str, float]:
    total = float(sum(nats.values()))
    found = {
        "validation_loss": total / shards.tokens,
        "validation_bits_per_byte": total / math.log(2) / shards.bytes,
    }
    if len(sizes) > 1:
        for name, size in sizes.items():
            found[f"validation_bits_per_byte.{name}"] = float(
                nats[name] / math.log(2) / size
            )
    return found


def bytes_per_source(
    shards: Shards, decode_bytes: Callable[[list[int]], bytes]
) -> dict[str, float]:
    """How many bytes the text of each source has that has any tokens.

    Adding up what each token spells is exact where tokens concatenate (BPE, characters);
    elsewhere it divides the known total fairly.
    """
    sizes = {}
    for name in shards.sources:
        start, end = _ends(shards, name)
        counts = np.bincount(shards.read(start, end - start))
        counts[shards.end_of_text :][:1] = 0
        if end > start:
            spelled = (
                len(decode_bytes([n])) * int(counts[n])
                for n in np.flatnonzero(counts).tolist()
            )
            sizes[name] = float(sum(spelled))
    scale = shards.bytes / max(sum(sizes.values()), 1)
    return {name: max(size * scale, 1.0) for name, size in sizes.items()}


def _ends(shards: Shards, source: str) -> tuple[int, int]:
    """Where the tokens of ``source`` begin and end in the sequence."""
    documents = shards.sources[source]
    start, end = shards.offsets[[documents.start, documents.stop]].tolist()
    return start, end
