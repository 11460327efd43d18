"""Tiny models for the tests of the model and inference rooms."""

import msgspec
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
    "rope linear": {"rope_scaling": {"kind": "linear", "factor": 4, "original": 12}},
    "rope ntk": {"rope_scaling": {"kind": "ntk", "factor": 4, "original": 12}},
    "rope llama3": {"rope_scaling": {"kind": "llama3", "factor": 4, "original": 12}},
    "rope yarn": {"rope_scaling": {"kind": "yarn", "factor": 4, "original": 12}},
    "rope yarn sharp": {
        "rope_scaling": {
            "kind": "yarn",
            "factor": 4,
            "original": 12,
            "low": 2.0,
            "high": 20.0,
            "sharpness": 1.4,
        }
    },
    "geglu": {"mlp": "geglu"},
    "gelu": {"mlp": "gelu"},
    "relu": {"mlp": "relu"},
    "layernorm": {"norm": "layernorm"},
    "post-norm": {"norm_place": "post"},
    "sandwich": {"norm_place": "sandwich"},
    "learned": {"position": "learned"},
    "sinusoidal": {"position": "sinusoidal", "embedding_scale": 32**0.5},
    "alibi": {"position": "alibi"},
    "no positions": {"position": "none"},
    "windows": {"windows": (5, 0)},
    "qkv biases": {"bias": "qkv", "qk_norm": False},
    "all biases": {"bias": "all", "norm": "layernorm", "norm_place": "sandwich"},
    "soft caps": {"score_cap": 3.0, "logit_cap": 2.0},
    "latent": {"latent": {"rank": 12, "d_rope": 6}, "qk_norm": False},
    "latent queries": {
        "latent": {"rank": 12, "d_rope": 6, "query_rank": 10},
        "qk_norm": False,
        "windows": (0, 7),
    },
    "experts": {"experts": {"count": 4, "active": 2}},
    "shared expert": {
        "experts": {"count": 3, "active": 2, "shared": 1},
        "mlp": "relu2",
    },
    "value embeddings": {"value_embeddings": True},
    "skips": {"skips": True},
    "speedrun": {
        "mlp": "relu2",
        "windows": (8, 0),
        "logit_cap": 15.0,
        "value_embeddings": True,
        "skips": True,
    },
    "2017": {
        "norm": "layernorm",
        "norm_place": "post",
        "position": "sinusoidal",
        "mlp": "relu",
        "bias": "all",
        "qk_norm": False,
        "n_kv_heads": 4,
        "embedding_scale": 32**0.5,
        "tied": True,
    },
    "gpt2": {
        "norm": "layernorm",
        "position": "learned",
        "mlp": "gelu",
        "bias": "all",
        "qk_norm": False,
        "n_kv_heads": 4,
        "tied": True,
    },
}


def tiny(name: str = "default", **changes) -> ModelConfig:
    return msgspec.convert(BASE | SWITCHES[name] | changes, ModelConfig)


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
