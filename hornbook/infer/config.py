"""Settings of the inference room: how the next token is chosen."""

from hornbook.core.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeFloat,
    Settings,
)


class SamplingConfig(Settings, frozen=True):
    """Temperature 0 is greedy; ``top_k`` 0, ``top_p`` 1, ``min_p`` 0 switch theirs off."""

    max_tokens: Count = 128
    temperature: NonNegativeFloat = 0.8
    top_k: NonNegative = 0
    top_p: Fraction = 1.0
    min_p: Fraction = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
