"""Sizes that follow from a shape: widths left at 0, parameters by part, FLOPs per token.

No torch here: the command line asks for these before a model exists.
"""

from hornbook.core.errors import UserError
from hornbook.model.config import ModelConfig


def d_head(config: ModelConfig) -> int:
    """Width of one attention head.

    Raises :class:`UserError` when ``d_model`` does not divide, or an odd width meets RoPE.
    """
    if not config.d_head and config.d_model % config.n_heads:
        raise UserError(
            f"'d_model' ({config.d_model}) must be a multiple of 'n_heads' "
            f"({config.n_heads}), or set 'd_head'."
        )
    width = config.d_head or config.d_model // config.n_heads
    if width % 2:
        raise UserError(
            f"'d_head' ({width}) must be even: rotary positions turn its halves together."
        )
    return width


def d_ff(config: ModelConfig) -> int:
    """Width of the feed-forward layer.

    A gated layer has three matrices instead of two; 8/3 of ``d_model`` gives it as many
    parameters as 4 times does an ungated one (Shazeer 2020, arXiv 2002.05202).
    """
    if config.d_ff:
        return config.d_ff
    exact = config.d_model * (8 / 3 if config.mlp == "swiglu" else 4)
    return 64 * -int(-exact // 64)


def parameters(config: ModelConfig) -> dict[str, int]:
    """How many parameters each part has; the values add up to the whole model."""
    head, layers = d_head(config), config.n_layers
    projections = 2 * (config.n_heads + config.n_kv_heads) * head * config.d_model
    matrices = 3 if config.mlp == "swiglu" else 2
    norms = 2 * config.d_model + (2 * head if config.qk_norm else 0)
    embedding = config.vocab_size * config.d_model
    return {
        "embedding": embedding,
        "attention": layers * projections,
        "feed-forward": layers * matrices * config.d_model * d_ff(config),
        "norms": layers * norms + config.d_model,
        "head": 0 if config.tied else embedding,
    }


def flops_per_token(config: ModelConfig, time: int = 0) -> float:
    """Floating-point operations to train on one token, forward and backward.

    Six per weight of a matrix product (one multiplication and one addition, once forward
    and twice backward), and the scores and values of attention over ``time`` tokens (the
    context length when 0), half of them because attention is causal.
    """
    count = parameters(config)
    weights = count["attention"] + count["feed-forward"]
    weights += config.vocab_size * config.d_model  # the head, tied or not
    time = time or config.context_length
    attention = 2 * config.n_layers * config.n_heads * d_head(config) * time / 2
    return 6.0 * (weights + attention)
