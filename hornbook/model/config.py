"""Settings of the model room: the shape of the transformer and its switches."""

from typing import Literal

from hornbook.core.settings import (
    Count,
    NonNegative,
    NonNegativeFloat,
    Positive,
    Settings,
)


class RopeScaling(Settings, frozen=True):
    """Rotary positions for a context longer than the one first trained on (rope.py).

    ``original`` is that first context length; ``factor`` how many times longer it got.
    ``low`` and ``high`` bound what llama3 and YaRN blend: wavelengths per original context
    (llama3's low and high frequency factors, YaRN's beta_slow and beta_fast). 0 means the
    paper's values: 1 and 4 for llama3, 1 and 32 for YaRN. ``sharpness`` multiplies YaRN's
    turns, and so its scores twice over; 0 means the paper's 1 + 0.1 ln(factor).
    """

    kind: Literal["linear", "ntk", "llama3", "yarn"]
    factor: Positive
    original: Count
    low: NonNegativeFloat = 0.0
    high: NonNegativeFloat = 0.0
    sharpness: NonNegativeFloat = 0.0


class LatentConfig(Settings, frozen=True):
    """Multi-head latent attention (latent.py); ``query_rank`` 0: queries aren't compressed."""

    rank: Count
    d_rope: Count
    query_rank: NonNegative = 0


class ExpertsConfig(Settings, frozen=True):
    """Mixture of experts (experts.py).

    Each token goes to ``active`` of ``count`` experts, and to all ``shared`` ones.
    ``balance`` weighs the loss that keeps experts evenly used.
    """

    count: Count
    active: Count
    shared: NonNegative = 0
    balance: NonNegativeFloat = 0.01


class ModelConfig(Settings, frozen=True):
    """One decoder-only transformer.

    ``d_head`` 0 means ``d_model / n_heads``; ``d_ff`` 0 means 8/3 of ``d_model`` (gated)
    or 4 times (ungated), rounded up to a multiple of 64; ``vocab_size`` 0 means "as many
    as the tokenizer has". The defaults are Qwen3's block.
    """

    n_layers: Count
    d_model: Count
    n_heads: Count
    n_kv_heads: Count  # as many as n_heads: MHA; fewer: GQA; 1: MQA
    context_length: Count
    d_head: NonNegative = 0
    d_ff: NonNegative = 0
    vocab_size: NonNegative = 0
    mlp: Literal["swiglu", "geglu", "gelu", "relu", "relu2"] = "swiglu"
    qk_norm: bool = True
    rope_base: Positive = 10_000.0
    norm_eps: Positive = 1e-6
    tied: bool = False  # one matrix for embedding and head
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    norm_place: Literal["pre", "post", "sandwich"] = "pre"
    position: Literal["rope", "learned", "sinusoidal", "alibi", "none"] = "rope"
    rope_scaling: RopeScaling | None = None
    windows: tuple[
        NonNegative, ...
    ] = ()  # tokens seen, layer by layer, repeated; 0: all
    latent: LatentConfig | None = None
    experts: ExpertsConfig | None = None
    bias: Literal["none", "qkv", "all"] = "none"
    score_cap: NonNegativeFloat = 0.0  # soft cap of attention scores; 0: none
    logit_cap: NonNegativeFloat = 0.0  # soft cap of the logits; 0: none
    embedding_scale: Positive = 1.0  # 2017 and Gemma: sqrt(d_model)
    init: Literal["zero", "gpt2", "mup"] = "zero"
    value_embeddings: bool = False  # every other layer's values see the token itself
    skips: bool = False  # learned shares of stream and embedding that enter each layer
