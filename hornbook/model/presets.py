"""Shapes with a name: published models, and small ones of their kind.

No torch here. Vocabulary sizes are the published tokenizers'; change them, and anything
else, with :func:`preset`.
"""

import difflib
from typing import Any

import msgspec

from hornbook.core.errors import UserError
from hornbook.model.config import ExpertsConfig, ModelConfig, RopeScaling


def _gpt2(n_layers: int, d_model: int, n_heads: int) -> ModelConfig:
    """GPT-2 (Radford et al. 2019)."""
    return ModelConfig(
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_heads,
        context_length=1024,
        d_ff=4 * d_model,
        vocab_size=50_257,
        mlp="gelu",
        norm="layernorm",
        norm_eps=1e-5,
        position="learned",
        bias="all",
        qk_norm=False,
        tied=True,
        init="gpt2",
    )


def _llama(n_layers: int, d_model: int, n_heads: int, n_kv_heads: int, d_ff: int):
    """A small model of Llama's shape, on a vocabulary of 32,000."""
    return ModelConfig(
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        context_length=1024,
        d_ff=d_ff,
        vocab_size=32_000,
        qk_norm=False,
        norm_eps=1e-5,
        tied=True,
    )


def _llama3(small: ModelConfig, factor: float, tied: bool) -> ModelConfig:
    """The same with what Llama 3.1 and 3.2 have (arXiv 2407.21783)."""
    return msgspec.structs.replace(
        small,
        context_length=131_072,
        vocab_size=128_256,
        rope_base=500_000.0,
        rope_scaling=RopeScaling(kind="llama3", factor=factor, original=8192),
        tied=tied,
    )


PRESETS = {
    "transformer-2017": ModelConfig(  # arXiv 1706.03762, the decoder alone
        n_layers=6,
        d_model=512,
        n_heads=8,
        n_kv_heads=8,
        context_length=512,
        d_ff=2048,
        vocab_size=37_000,
        mlp="relu",
        norm="layernorm",
        norm_place="post",
        norm_eps=1e-6,
        position="sinusoidal",
        embedding_scale=512**0.5,
        bias="all",
        qk_norm=False,
        tied=True,
        init="gpt2",
    ),
    "gpt2-124m": _gpt2(12, 768, 12),
    "gpt2-355m": _gpt2(24, 1024, 16),
    "gpt2-774m": _gpt2(36, 1280, 20),
    "gpt2-1.5b": _gpt2(48, 1600, 25),
    "llama-10m": _llama(6, 256, 4, 2, 704),
    "llama-30m": _llama(8, 448, 7, 7, 1216),
    "llama-110m": _llama(12, 768, 12, 12, 2048),
    "llama-1b": _llama3(_llama(16, 2048, 32, 8, 8192), 32.0, tied=True),
    "llama-3b": _llama3(_llama(28, 3072, 24, 8, 8192), 32.0, tied=True),
    "llama-8b": _llama3(_llama(32, 4096, 32, 8, 14_336), 8.0, tied=False),
    "qwen3-0.6b": ModelConfig(  # arXiv 2505.09388
        n_layers=28,
        d_model=1024,
        n_heads=16,
        n_kv_heads=8,
        context_length=40_960,
        d_head=128,
        d_ff=3072,
        vocab_size=151_936,
        rope_base=1_000_000.0,
        tied=True,
    ),
    "mixtral-35m": msgspec.structs.replace(
        _llama(6, 256, 4, 2, 704), experts=ExpertsConfig(count=8, active=2)
    ),
    "mixtral-8x7b": ModelConfig(  # arXiv 2401.04088
        n_layers=32,
        d_model=4096,
        n_heads=32,
        n_kv_heads=8,
        context_length=32_768,
        d_ff=14_336,
        vocab_size=32_000,
        qk_norm=False,
        rope_base=1_000_000.0,
        norm_eps=1e-5,
        experts=ExpertsConfig(count=8, active=2),
    ),
    "speedrun": ModelConfig(  # experimental: what trained fastest for the authors of others
        n_layers=12,
        d_model=768,
        n_heads=6,
        n_kv_heads=6,
        context_length=2048,
        vocab_size=50_304,
        mlp="relu2",
        windows=(512, 512, 512, 0),
        logit_cap=15.0,
        value_embeddings=True,
        skips=True,
    ),
}


def preset(name: str, **changes: Any) -> ModelConfig:
    """The named shape, with some settings changed.

    Raises :class:`UserError` for an unknown name, suggesting the nearest.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise UserError(
            f"'preset': there is no '{name}'{hint}; there are {', '.join(PRESETS)}."
        )
    return msgspec.structs.replace(PRESETS[name], **changes)
