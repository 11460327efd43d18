"""Settings of the model room: the shape of the transformer."""

from typing import Literal

from hornbook.core.settings import Count, Positive, Settings


class ModelConfig(Settings, frozen=True):
    """One decoder-only transformer.

    ``d_head`` 0 means ``d_model / n_heads``; ``d_ff`` 0 means 8/3 of ``d_model`` (gated)
    or 4 times (ungated), rounded up to a multiple of 64; ``vocab_size`` 0 means "as many
    as the tokenizer has".
    """

    n_layers: Count
    d_model: Count
    n_heads: Count
    n_kv_heads: Count
    context_length: Count
    d_head: int = 0
    d_ff: int = 0
    vocab_size: int = 0
    mlp: Literal["swiglu", "relu2"] = "swiglu"
    qk_norm: bool = True
    rope_base: Positive = 10_000.0
    norm_eps: Positive = 1e-6
    tied: bool = False
