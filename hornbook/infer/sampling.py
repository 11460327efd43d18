"""Choosing the next token from its logits.

Randomness is counter-based: the draw of a sequence's n-th token is a pure function of
(seed, sequence, n). So the same seed gives the same text whatever else is generated
beside it, after a restart too, and there is no generator whose state could drift.
"""

import torch
from torch import Tensor

from hornbook.infer.config import SamplingConfig

_MASK = (1 << 64) - 1


def sample(logits: Tensor, draws: list[float], sampling: SamplingConfig) -> list[int]:
    """One token per row of ``logits`` (batch, vocab_size), by inverting the distribution.

    ``draws`` are uniform in [0, 1), one per row; temperature 0 takes the likeliest token
    and ignores them.
    """
    if sampling.temperature == 0:
        if logits.device.type == "cpu" and logits.dtype == torch.float32:
            return logits.numpy().argmax(-1).tolist()  # vector code; PyTorch's is not
        return logits.argmax(dim=-1).tolist()
    shares = probabilities(logits, sampling).double().cumsum(dim=-1)
    # The sum may be rounded to a little less or more than 1: a point must lie below it.
    total = shares[:, -1:]
    points = (
        total * torch.tensor(draws, dtype=total.dtype, device=total.device)[:, None]
    )
    points = points.minimum(total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(shares, points, right=True).squeeze(1).tolist()


def probabilities(logits: Tensor, sampling: SamplingConfig) -> Tensor:
    """The distribution (batch, vocab_size) in float32 that is sampled from.

    Temperature, top-k, top-p and min-p apply in this order, each to what the one before
    has left, as in Transformers. ``sampling.temperature`` must not be 0.
    """
    scores = logits.float() / sampling.temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        best, places = scores.topk(sampling.top_k, dim=-1)
        scores = torch.full_like(scores, -torch.inf).scatter(-1, places, best)
    if sampling.top_p < 1:
        scores = _keep_top_p(scores, sampling.top_p)
    if sampling.min_p > 0:
        shares = scores.softmax(dim=-1)
        least = sampling.min_p * shares.amax(dim=-1, keepdim=True)
        scores = scores.masked_fill(shares < least, -torch.inf)
    return scores.softmax(dim=-1)


def _keep_top_p(scores: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens whose shares first add up to ``top_p`` (arXiv 1904.09751)."""
    ordered, places = scores.sort(dim=-1, descending=True, stable=True)
    shares = ordered.softmax(dim=-1)
    before = shares.cumsum(dim=-1) - shares
    before[..., 0] = -1.0  # the likeliest token always stays
    ordered = ordered.masked_fill(before >= top_p, -torch.inf)
    return torch.empty_like(scores).scatter(-1, places, ordered)


def uniform(seed: int, sequence: int, step: int) -> float:
    """The draw in [0, 1) for a sequence's ``step``-th token."""
    state = _mix(_mix(_mix(seed & _MASK) + sequence) + step)
    return (state >> 11) * 2.0**-53


def _mix(state: int) -> int:
    """SplitMix64: neighbouring counters come out unrelated (Steele et al. 2014)."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)
