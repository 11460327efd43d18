"""Right answers to the exercises of chapter 14, and a usual mistake each."""

import torch


def ceiling(parameters, bits, group, bandwidth):
    scales = 16 * parameters / group if group else 0
    return bandwidth / ((parameters * bits + scales) / 8)


def wrong_ceiling(parameters, bits, group, bandwidth):
    return bandwidth / (parameters * bits / 8)  # forgets the scales


def top_p(logits, share):
    ordered, places = logits.softmax(-1).sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = torch.where(before < share, ordered, torch.zeros_like(ordered))
    kept[0] = ordered[0]
    return torch.empty_like(kept).scatter(-1, places, kept / kept.sum())


def wrong_top_p(logits, share):
    ordered, places = logits.softmax(-1).sort(descending=True)
    kept = torch.where(ordered.cumsum(-1) <= share, ordered, torch.zeros_like(ordered))
    return torch.empty_like(kept).scatter(-1, places, kept / kept.sum())


def agreement(p, q):
    ends = [x.cumsum(0) for x in (p, q)]
    first = torch.maximum(ends[0] - p, ends[1] - q)
    last = torch.minimum(*ends)
    return (last - first).clamp(min=0).sum()


def wrong_agreement(p, q):
    return torch.minimum(p, q).sum()  # the most that any scheme can reach


def codes_of(weights, bits):
    scale = float(weights.abs().max()) / (2 ** (bits - 1) - 1)
    if scale == 0:
        return torch.zeros(len(weights), dtype=torch.int64), 0.0
    return (weights / scale).round().to(torch.int64), scale


def wrong_codes_of(weights, bits):
    scale = float(weights.abs().max()) / 2 ** (bits - 1)
    return (weights / scale).round().to(torch.int64), scale
