"""Sizes computed from the settings agree with the model that is built from them."""

import pytest
import torch
from shapes import SWITCHES, tiny
from torch.utils.flop_counter import FlopCounterMode

from hornbook.model import sizes
from hornbook.model.attention import attend_plainly
from hornbook.model.experts import grouped_product_plainly
from hornbook.model.transformer import Transformer


@pytest.mark.parametrize("name", SWITCHES)
def test_parameters_by_part_add_up_to_the_model(name):
    config = tiny(name)
    model = Transformer(config)
    parts = sizes.parameters(config)
    assert sum(parts.values()) == sum(p.numel() for p in model.parameters())
    attention = sum(
        p.numel()
        for n, p in model.named_parameters()
        if ".attention." in n and "norm." not in n and "embedding" not in n
    )
    assert parts["attention"] == attention


@pytest.mark.parametrize("name", SWITCHES)
def test_flops_agree_with_those_counted_by_torch(name, monkeypatch):
    config = tiny(name)
    model = Transformer(config).eval()
    for room in ("attention", "latent"):
        monkeypatch.setattr(f"hornbook.model.{room}.attend", attend_plainly)
    monkeypatch.setattr(
        "hornbook.model.experts.grouped_product", grouped_product_plainly
    )
    time = config.context_length
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, time, dtype=torch.int64)).sum().backward()
    # Attention written out computes all scores, the ones that are masked too.
    latent = config.latent.d_rope if config.latent else 0
    score = 6 * config.n_heads * (2 * sizes.d_head(config) + latent)
    products = sizes.flops_per_token(config, time=1) - score * config.n_layers / 2
    every_score = score * config.n_layers * time
    counted = counter.get_total_flops() / time
    assert counted == pytest.approx(products + every_score, rel=0.01)


@pytest.mark.parametrize("window", [0, 1, 7, 48, 100])
def test_flops_count_the_scores_that_are_seen(window):
    config = tiny(windows=(window,))
    time, score = 48, 6 * 4 * 2 * 8 * config.n_layers
    seen = sum(min(t + 1, window or time) for t in range(time)) / time
    none = sizes.flops_per_token(config, time=1) - score / 2
    ours = (sizes.flops_per_token(config) - none) / score
    assert ours == pytest.approx(seen, abs=0.51)


def test_active_parameters_leave_out_idle_experts():
    config = tiny("experts")
    dense = tiny(d_ff=2 * 48)  # two of four experts of width 48 work
    router = config.n_layers * 4 * config.d_model
    assert sizes.active_parameters(config) - router == sum(
        sizes.parameters(dense).values()
    )
    assert sizes.active_parameters(dense) == sum(sizes.parameters(dense).values())
