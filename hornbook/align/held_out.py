"""What post-training is judged by, on pairs it has not seen.

A model's preference is which of two answers it finds likelier than its reference did. That
says little alone, so two baselines stand beside it: the reference's own preference (which
answer it finds likelier, before any preference training) and the length of the answers.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hornbook.align.preference import PreferencePairs, log_probs
from hornbook.align.sft import PackedRows, in_order
from hornbook.train.objective import next_token


@torch.no_grad()
def sft_loss(
    model: nn.Module, rows: PackedRows, batch: int, device: torch.device
) -> dict[str, float]:
    """``loss`` in nats per answer token and ``bits_per_byte`` of the answers.

    Both count the closing ``<|end|>``. Empty when there are no held-out conversations.
    """
    if not rows.answer_tokens:
        return {}
    nats = sum(
        next_token(model, piece.to(device)).total.item()
        for piece in in_order(rows, batch)
    )
    return {
        "loss": nats / rows.answer_tokens,
        "bits_per_byte": nats / math.log(2) / rows.answer_bytes,
    }


@dataclass(frozen=True)
class PreferenceScores:
    """Log-probabilities (pairs, 2) of chosen and rejected answers, and their lengths."""

    policy: np.ndarray
    reference: np.ndarray
    lengths: np.ndarray

    def margins(self, beta: float) -> np.ndarray:
        """Reward of the chosen answer less that of the rejected one, (pairs,)."""
        rewards = beta * (self.policy - self.reference)
        return rewards[:, 0] - rewards[:, 1]

    def right(self) -> dict[str, np.ndarray]:
        """For each way to choose, how right it is on each pair: 1, 0, or ½ for a tie.

        ``reward``     what the policy came to prefer over its reference (DPO's own measure)
        ``policy``     which answer the policy finds likelier
        ``reference``  which answer the reference finds likelier
        ``shorter``    the shorter answer, in tokens
        """
        return {
            "reward": _wins(self.policy - self.reference),
            "policy": _wins(self.policy),
            "reference": _wins(self.reference),
            "shorter": _wins(-self.lengths),
        }


def _wins(scores: np.ndarray) -> np.ndarray:
    return (1 + np.sign(scores[:, 0] - scores[:, 1])) / 2


@torch.no_grad()
def preference_scores(
    model: nn.Module, pairs: PreferencePairs, batch: int, device: torch.device
) -> PreferenceScores:
    """Score every held-out pair with ``model``; the reference's scores come with the pairs."""
    found = [np.empty((0, 2), np.float32)]
    for start in range(0, len(pairs), batch):
        piece = pairs.batch(slice(start, start + batch)).to(device)
        found.append(log_probs(model, piece.tokens, piece.targets).cpu().numpy())
    assert pairs.reference is not None
    return PreferenceScores(np.concatenate(found), pairs.reference, pairs.lengths)
