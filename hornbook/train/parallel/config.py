"""The ``[parallel]`` table: how one training is shared out over many processes."""

from typing import Literal

from hornbook.core.settings import Count, NonNegative, Positive, Settings


class ParallelConfig(Settings, frozen=True):
    """Along how many ranks each axis runs; their product is the number of processes.

    ``data`` copies of the model see other rows of a batch (0: what the other axes leave);
    ``shard`` splits weights, gradients and optimizer (FSDP2, ZeRO-3); ``tensor`` every
    matrix, and between them the sequence (Megatron); ``pipeline`` the layers; ``context``
    the sequence in attention too; ``expert`` the experts of a mixture. Ranks along
    ``shard`` and ``expert`` see rows of their own as well. ``auto`` chooses them all.
    """

    auto: bool = False
    data: NonNegative = 0
    shard: Count = 1
    tensor: Count = 1
    pipeline: Count = 1
    context: Count = 1
    expert: Count = 1
    schedule: Literal["gpipe", "1f1b", "interleaved"] = "1f1b"
    reshard: bool = True  # forget gathered weights after the forward pass, too (ZeRO-3)
    timeout: Positive = 600.0  # seconds after which a silent collective counts as hung
