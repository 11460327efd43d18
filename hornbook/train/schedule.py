"""Learning-rate schedules: pure functions of the step."""

import math

from hornbook.train.config import TrainConfig


def rate(step: int, config: TrainConfig) -> float:
    """The learning rate at ``step`` (from 0) as a share of its peak.

    Linear warmup over the first ``warmup`` share of the steps, then ``cosine`` decay to
    ``final``, or ``wsd`` (Hu et al. 2024, arXiv 2404.06395): stable at the peak, then
    linear decay to ``final`` over the last ``decay`` share of the steps.
    """
    warmup_steps = max(1, round(config.warmup * config.steps))
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if config.schedule == "cosine":
        done = (step - warmup_steps) / max(1, config.steps - warmup_steps)
        fall = 0.5 * (1 + math.cos(math.pi * done))
    else:
        decay_steps = max(1, round(config.decay * config.steps))
        fall = min(1.0, (config.steps - step) / decay_steps)
    return config.final + (1 - config.final) * fall
