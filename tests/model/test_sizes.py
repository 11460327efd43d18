"""Sizes computed from the settings agree with the model that is built from them."""

import pytest
import torch
from shapes import SWITCHES, tiny
from torch.utils.flop_counter import FlopCounterMode

from hornbook.model import sizes
from hornbook.model.attention import attend_plainly
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
        if "attention." in n and p.ndim > 1
    )
    assert parts["attention"] == attention


@pytest.mark.parametrize("name", SWITCHES)
def test_flops_agree_with_those_counted_by_torch(name, monkeypatch):
    config = tiny(name)
    model = Transformer(config)
    monkeypatch.setattr("hornbook.model.attention.attend", attend_plainly)
    tokens = torch.zeros(1, config.context_length, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        model(tokens).sum().backward()
    head, time = sizes.d_head(config), config.context_length
    # Attention written out computes the masked half of the scores too.
    masked = 6 * config.n_layers * config.n_heads * head * time
    counted = counter.get_total_flops() / time - masked
    assert counted == pytest.approx(sizes.flops_per_token(config), rel=0.01)
