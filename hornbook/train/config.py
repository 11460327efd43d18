"""Settings of the training room, shared by every objective (pretraining, SFT, DPO)."""

from typing import Literal

from hornbook.core.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeFloat,
    Positive,
    Settings,
)


class TrainConfig(Settings, frozen=True):
    """One run of the training loop.

    A step takes ``batch`` sequences, ``micro_batch`` at a time (0: all at once).
    ``warmup`` and ``decay`` are shares of the steps, ``final`` of the peak learning rate.
    ``auto`` takes bfloat16 where the processor multiplies it natively, and compiles where a
    compiler is found and the run is long enough to pay for it.
    """

    steps: Count
    batch: Count = 16
    micro_batch: NonNegative = 0
    optimizer: Literal["adamw", "muon"] = "muon"
    learning_rate: Positive = (
        0.02  # of the matrices under Muon, of everything under AdamW
    )
    embedding_rate: Positive = 0.01  # under Muon: AdamW's rate for the embedding
    head_rate: Positive = 0.003  # under Muon: AdamW's rate for the head and the norms
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["cosine", "wsd"] = "cosine"
    warmup: Fraction = 0.02
    decay: Fraction = 0.4  # of the steps, under "wsd"
    final: Fraction = 0.1
    clip: NonNegativeFloat = 1.0  # global gradient norm; 0 for none
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    validate_every: NonNegative = 0  # steps; 0: only at the end
    checkpoint_every: NonNegative = 0  # steps; 0: only at the end
    sample_every: NonNegative = 0  # steps; 0: never


# Keys that say how often to look or to save, not what the weights become.
CADENCE = ("validate_every", "checkpoint_every", "sample_every")
