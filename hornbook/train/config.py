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


class GuardConfig(Settings, frozen=True):
    """When a step counts as gone wrong, and what is done about it (guard.py).

    Bad is a loss or gradient norm that is no number, or is ``spike`` robust standard
    deviations (of the last ``window`` healthy steps) above the usual. The batch is passed
    over; at ``patience`` bad steps in a row the run goes back to a checkpoint that
    ``clean_after`` healthy steps followed, with the learning rate multiplied by
    ``lower_rate``, and gives up after ``give_up`` times in a row.
    """

    enabled: bool = True
    spike: Positive = 8.0
    window: Count = 100
    patience: Count = 3
    clean_after: NonNegative = 20
    lower_rate: Positive = 1.0
    give_up: Count = 3


class TrainConfig(Settings, frozen=True):
    """One run of the training loop.

    A step takes ``batch`` sequences, ``micro_batch`` at a time (0: all at once).
    ``warmup`` and ``decay`` are shares of the steps, ``final`` of the peak learning rate.
    ``auto`` takes bfloat16 where the processor multiplies it natively, and compiles on a
    GPU where the run is long enough to pay for it.
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
    cautious: bool = False  # decay only weights that their update shrinks as well
    schedule: Literal["cosine", "wsd"] = "cosine"
    warmup: Fraction = 0.02
    decay: Fraction = 0.4  # of the steps, under "wsd"
    final: Fraction = 0.1
    clip: NonNegativeFloat = 1.0  # global gradient norm; 0 for none
    z_loss: NonNegativeFloat = 0.0  # weight of the squared log-normaliser; PaLM: 1e-4
    precision: Literal["auto", "float32", "bfloat16", "float16", "float8"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    recompute: bool = False  # blocks forget their activations: less memory, more time
    logit_chunk: NonNegative = 0  # tokens whose logits exist at once; 0: all of them
    guard: GuardConfig = GuardConfig()
    validate_every: NonNegative = 0  # steps; 0: only at the end
    checkpoint_every: NonNegative = 0  # steps; 0: only at the end
    sample_every: NonNegative = 0  # steps; 0: never
    keep_last: Count = 2  # checkpoints: the newest ones
    keep_every: NonNegative = 0  # and those of every so many steps, for good; 0: none
    keep_best: bool = False  # and the one of the lowest validation loss
    background: bool = True  # write checkpoints while training goes on
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()


# Keys that say how often to look, what to save and where, not what the weights become.
CADENCE = (
    *("validate_every", "checkpoint_every", "sample_every", "keep_last", "keep_every"),
    *("keep_best", "background", "trackers"),
)
