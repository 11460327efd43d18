"""Tiny models for the tests of the model and inference rooms."""

import torch

from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer

BASE = {
    "n_layers": 2,
    "d_model": 32,
    "n_heads": 4,
    "n_kv_heads": 2,
    "context_length": 48,
    "d_ff": 48,
    "vocab_size": 61,
}

# name -> what differs from BASE; every test of "each switch" runs over these.
SWITCHES: dict[str, dict] = {
    "default": {},
    "tied": {"tied": True},
    "multi-head": {"n_kv_heads": 4},
    "multi-query": {"n_kv_heads": 1},
    "wide heads": {"d_head": 24},
    "no qk-norm": {"qk_norm": False},
    "relu2": {"mlp": "relu2"},
    "rope base": {"rope_base": 500_000.0, "norm_eps": 1e-5},
}


def tiny(name: str = "default", **changes) -> ModelConfig:
    return ModelConfig(**(BASE | SWITCHES[name] | changes))


def random_model(config: ModelConfig, seed: int = 0) -> Transformer:
    """A model without a zero in it: the initial one predicts nothing but uniform."""
    torch.manual_seed(seed)
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                parameter.normal_(std=parameter.shape[-1] ** -0.5)
    return model.eval()


def random_tokens(config: ModelConfig, batch: int, time: int, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(config.vocab_size, (batch, time), generator=generator)
