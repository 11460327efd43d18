"""Changes to the logits before a token is chosen: penalties, bias, what must not come."""

from collections import Counter

import torch
from torch import Tensor

from hornbook.infer.config import SamplingConfig

NEVER = -torch.inf


def adjust(
    logits: Tensor, prompt: list[int], written: list[int], sampling: SamplingConfig
) -> None:
    """Penalise and bias the logits (vocab_size,) of one sequence, in place.

    The repetition penalty divides positive logits and multiplies negative ones, of every
    token in prompt or answer (CTRL, arXiv 1909.05858). The frequency penalty is taken off
    once per use in the answer and the presence penalty once if used at all, as OpenAI
    defines them. Then the bias is added.
    """
    if sampling.repetition_penalty != 1:
        ids = torch.tensor(
            sorted({*prompt, *written}), dtype=torch.int64, device=logits.device
        )
        seen = logits[ids]
        penalty = sampling.repetition_penalty
        logits[ids] = torch.where(seen < 0, seen * penalty, seen / penalty)
    if written and (sampling.frequency_penalty or sampling.presence_penalty):
        uses = Counter(written)
        ids = torch.tensor(list(uses), dtype=torch.int64, device=logits.device)
        counts = torch.tensor(list(uses.values()), device=logits.device)
        logits[ids] -= counts * sampling.frequency_penalty + sampling.presence_penalty
    if sampling.logit_bias:
        ids = torch.tensor(
            list(sampling.logit_bias), dtype=torch.int64, device=logits.device
        )
        bias = list(sampling.logit_bias.values())
        logits[ids] += torch.tensor(bias, dtype=logits.dtype, device=logits.device)


def is_plain(sampling: SamplingConfig) -> bool:
    """Whether :func:`adjust` leaves the logits as they are."""
    return (
        sampling.repetition_penalty == 1
        and not sampling.frequency_penalty
        and not sampling.presence_penalty
        and not sampling.logit_bias
    )
