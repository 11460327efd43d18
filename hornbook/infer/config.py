"""Settings of the inference room: how the next token is chosen."""

from typing import Any

from hornbook.core.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeFloat,
    Positive,
    Settings,
)


class SamplingConfig(Settings, frozen=True):
    """Temperature 0 is greedy; ``top_k`` 0, ``top_p`` 1, ``min_p`` 0 switch theirs off.

    The logits are first penalised and biased (logits.py), then narrowed (sampling.py).
    """

    max_tokens: Count = 128
    temperature: NonNegativeFloat = 0.8
    top_k: NonNegative = 0
    top_p: Fraction = 1.0
    min_p: Fraction = 0.0
    repetition_penalty: Positive = 1.0  # divides; of prompt and answer; 1: none
    frequency_penalty: float = 0.0  # subtracted per use in the answer; -2 to 2
    presence_penalty: float = 0.0  # subtracted once if used in the answer; -2 to 2
    logit_bias: dict[int, float] = {}  # noqa: RUF012  added, by token id; -100 to 100
    seed: int = 0
    stop: tuple[str, ...] = ()
    n: Count = 1  # completions of each prompt
    logprobs: int | None = None  # report the chosen token's and that many likeliest's
    schema: dict[str, Any] | None = None  # JSON Schema that the answer must fit
