"""Muon makes orthogonal updates; schedules start, peak and end where they should."""

import msgspec
import pytest
import torch
from torch import nn

from hornbook.train.config import TrainConfig
from hornbook.train.optim import Muon, build_optimizers, orthogonalize
from hornbook.train.schedule import rate

CONFIG = TrainConfig(steps=1000, warmup=0.02, final=0.1, decay=0.4)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 16, 48), (2, 48, 16)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
    assert values.min() > 0.4
    assert values.max() < 1.4


def test_orthogonalizing_keeps_the_singular_vectors():
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(8, 8))
    matrix = u @ torch.diag(torch.linspace(0.5, 2.0, 8)) @ v
    near = orthogonalize(matrix[None])[0]
    diagonal = u.mT @ near @ v.mT
    off = diagonal - torch.diag(diagonal.diagonal())
    assert off.abs().max() < 0.05


def test_muon_moves_a_matrix_the_same_whether_stacked_with_others_or_alone():
    torch.manual_seed(0)
    start = torch.randn(3, 8, 16)
    gradient = torch.randn(3, 8, 16)
    together = [nn.Parameter(m.clone()) for m in start]
    alone = [nn.Parameter(m.clone()) for m in start]
    for parameters in (together, alone):
        for parameter, g in zip(parameters, gradient, strict=True):
            parameter.grad = g.clone()
    Muon(together, lr=0.1).step()
    for parameter in alone:
        Muon([parameter], lr=0.1).step()
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_parameter_belongs_to_exactly_one_group(optimizer):
    model = nn.ModuleDict(
        {
            "embed": nn.Embedding(8, 4),
            "layer": nn.Linear(4, 4),
            "norm": nn.RMSNorm(4),
            "head": nn.Linear(4, 8, bias=False),
        }
    )
    config = msgspec.structs.replace(CONFIG, optimizer=optimizer)
    optimizers = build_optimizers(model, config)
    held = [p for o in optimizers for g in o.param_groups for p in g["params"]]
    assert sorted(map(id, held)) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_schedules_warm_up_reach_the_peak_and_end_at_the_floor(schedule):
    config = msgspec.structs.replace(CONFIG, schedule=schedule)
    rates = [rate(step, config) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 20)
    assert rates[:20] == sorted(rates[:20])
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=0.005)
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_wsd_stays_at_the_peak_until_the_decay():
    config = msgspec.structs.replace(CONFIG, schedule="wsd")
    assert {rate(step, config) for step in range(20, 600)} == {1.0}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_cautious_decay_shrinks_only_weights_that_the_update_shrinks_too(optimizer):
    """Beside the same step without decay: each weight decays or stays, as its update says."""
    torch.manual_seed(0)
    start, slope = torch.randn(6, 4), torch.randn(6, 4)
    after = {}
    for decay in (0.0, 0.5):
        model = nn.Linear(4, 6, bias=False)
        model.weight.data.copy_(start)
        model.weight.grad = slope.clone()
        config = msgspec.structs.replace(
            CONFIG,
            optimizer=optimizer,
            weight_decay=decay,
            cautious=True,
            learning_rate=0.1,
        )
        for made in build_optimizers(model, config):
            made.step()
        after[decay] = model.weight.detach()
    update = start - after[0.0]
    decayed = torch.where(update * start > 0, 0.1 * 0.5 * start, torch.zeros(()))
    torch.testing.assert_close(after[0.5], after[0.0] - decayed)
    assert (decayed != 0).any()
    assert (decayed == 0).any()
