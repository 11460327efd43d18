"""How much better than its group an answer did, and how much it counts."""

import numpy as np
import torch
from torch import Tensor

from hornbook.align.config import GRPOConfig


def advantages_of(rewards: np.ndarray, variant: str) -> np.ndarray:
    """How much better each answer did than its group, from rewards ``(prompts, group)``.

    grpo, dapo  less the mean, over the standard deviation
    dr_grpo     less the mean only: dividing favours prompts that are too easy or too hard
                (Liu et al. 2025, arXiv 2503.20783)
    rloo        less the mean of the *other* answers (Ahmadian et al. 2024, arXiv 2402.14740)
    """
    group = rewards.shape[1]
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    if variant == "rloo":
        return (centred * group / (group - 1)).astype(np.float32)
    if variant == "dr_grpo":
        return centred.astype(np.float32)
    deviation = rewards.std(axis=1, ddof=1, keepdims=True)
    return (centred / (deviation + 1e-4)).astype(np.float32)


def answer_scale(lengths: Tensor, config: GRPOConfig) -> Tensor:
    """What an answer's loss, summed over its tokens, counts; the loop averages over answers.

    grpo     one over its length: every answer counts the same
    dapo     one over the mean length: every token counts the same (arXiv 2503.14476)
    dr_grpo  one over the longest length allowed: as dapo, and no step depends on luck
    rloo     1: the log-probability of the whole answer
    """
    lengths = lengths.float().clamp(min=1)
    return {
        "grpo": 1 / lengths,
        "dapo": torch.full_like(lengths, 1 / lengths.mean().item()),
        "dr_grpo": torch.full_like(lengths, 1 / config.max_tokens),
        "rloo": torch.ones_like(lengths),
    }[config.variant]
