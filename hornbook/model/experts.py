"""Mixture of experts: many feed-forward layers, of which each token uses a few.

A router scores the experts for each token; the best ``active`` of them answer, weighed by
the softmax of their scores (Mixtral, arXiv 2401.04088), and ``shared`` experts answer
always (DeepSeekMoE, arXiv 2401.06066). Tokens are sorted by expert, so that each expert is
one matrix product over its own tokens and nothing is computed in vain or dropped.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model import sizes
from hornbook.model.config import ExpertsConfig, ModelConfig
from hornbook.model.feedforward import ACTIVATIONS, feed_forward


class Experts(nn.Module):
    """The router, its experts, and the shared ones."""

    def __init__(self, config: ModelConfig, experts: ExpertsConfig):
        super().__init__()
        self.active, self.balance = experts.active, experts.balance
        self.router = nn.Linear(config.d_model, experts.count, bias=False)
        self.experts = Answers(config, experts.count)
        self.shared = nn.ModuleList(feed_forward(config) for _ in range(experts.shared))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        flat = x.flatten(0, 1)
        with torch.autocast(x.device.type, enabled=False):
            scores = F.linear(flat.type_as(self.router.weight), self.router.weight)
            best, chosen = scores.topk(self.active, dim=-1)
            shares = best.softmax(dim=-1)
        if self.training and self.balance:
            weight = self.balance * len(flat)  # losses are summed over tokens
            shares = AddLoss.apply(shares, weight * imbalance(scores, chosen))
        result = self._mix(flat, chosen, shares)
        for expert in self.shared:
            result = result + expert(flat)
        return result.view_as(x)

    def _mix(self, flat: Tensor, chosen: Tensor, shares: Tensor) -> Tensor:
        """The chosen experts' answers (tokens, d_model), weighed and summed."""
        order = chosen.flatten().argsort(stable=True)
        token = order // self.active
        counts = F.one_hot(chosen.flatten(), self.router.out_features).sum(0)
        answers = self.experts(flat[token], counts)
        answers = answers * shares.flatten()[order].unsqueeze(1)
        start = torch.zeros(flat.shape, dtype=answers.dtype, device=flat.device)
        return start.index_add(0, token, answers)


class Answers(nn.ModuleList):
    """The experts proper: feed-forward layers, each for its own rows."""

    def __init__(self, config: ModelConfig, count: int):
        super().__init__(feed_forward(config) for _ in range(count))
        self.gated, self.activation = sizes.gated(config), ACTIVATIONS[config.mlp]

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """What the experts answer to rows ``x`` (rows, d_model) that lie sorted by expert.

        ``counts`` (experts,): how many rows each has.
        """
        ends = counts.cumsum(0).to(torch.int32)
        inner = self._product("up", x, ends)
        if self.gated:
            inner = self.activation(self._product("gate", x, ends)) * inner
        else:
            inner = self.activation(inner)
        return self._product("down", inner, ends)

    def _product(self, name: str, x: Tensor, ends: Tensor) -> Tensor:
        weights = torch.stack([getattr(expert, name).weight for expert in self])
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            x, weights = x.to(dtype), weights.to(dtype)
        return grouped_product(x, weights, ends)


def grouped_product(x: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
    """Rows ``ends[e-1]..ends[e]`` of ``x`` times ``weights[e]`` (experts, out, in).

    PyTorch's compiler knows its grouped product in bfloat16 only; compiled in another
    dtype, every expert computes every row.
    """
    if torch.compiler.is_compiling() and x.dtype != torch.bfloat16:
        return grouped_product_masked(x, weights, ends)
    return F.grouped_mm(x.contiguous(), weights.transpose(-2, -1), offs=ends)


def grouped_product_plainly(x: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
    """:func:`grouped_product`, written out."""
    starts = [0, *ends[:-1].tolist()]
    spans = zip(starts, ends.tolist(), weights, strict=True)
    return torch.cat([x[a:b] @ weight.T for a, b, weight in spans])


def grouped_product_masked(x: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
    """:func:`grouped_product` in shapes that don't depend on the data."""
    expert = torch.searchsorted(ends, torch.arange(len(x), device=x.device), right=True)
    products = [
        (x @ weight.T) * (expert == e)[:, None] for e, weight in enumerate(weights)
    ]
    return torch.stack(products).sum(0)


def imbalance(scores: Tensor, chosen: Tensor) -> Tensor:
    """1 when experts are used evenly, up to their number when one gets all (arXiv 2101.03961).

    Each expert's share of the tokens times its mean probability, summed; only the
    probabilities carry a gradient.
    """
    n_experts = scores.shape[-1]
    used = F.one_hot(chosen, n_experts).sum(1).float().mean(0) / chosen.shape[-1]
    return n_experts * (used * scores.softmax(dim=-1).mean(0)).sum()


class AddLoss(torch.autograd.Function):
    """Returns its first input; in the backward pass adds the second to the loss.

    So a layer can have a loss of its own without the objective knowing of it.
    """

    @staticmethod
    def forward(ctx, x: Tensor, loss: Tensor) -> Tensor:
        """``x`` unchanged."""
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """The gradient of ``x``, and 1 for the loss."""
        return gradient, gradient.new_ones(())
