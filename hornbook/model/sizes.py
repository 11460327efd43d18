"""Sizes that follow from a shape: widths left at 0, parameters by part, FLOPs per token.

No torch here: the command line asks for these before a model exists.
"""

from hornbook.core.errors import UserError
from hornbook.model.config import ModelConfig


def d_head(config: ModelConfig) -> int:
    """Width of one attention head (the part without positions, in latent attention).

    Raises :class:`UserError` when ``d_model`` does not divide.
    """
    if not config.d_head and config.d_model % config.n_heads:
        raise UserError(
            f"'d_model' ({config.d_model}) must be a multiple of 'n_heads' "
            f"({config.n_heads}), or set 'd_head'."
        )
    return config.d_head or config.d_model // config.n_heads


def gated(config: ModelConfig) -> bool:
    """Whether the feed-forward layer multiplies two projections."""
    return config.mlp in ("swiglu", "geglu")


def d_ff(config: ModelConfig) -> int:
    """Width of the feed-forward layer.

    A gated layer has three matrices instead of two; 8/3 of ``d_model`` gives it as many
    parameters as 4 times does an ungated one (Shazeer 2020, arXiv 2002.05202).
    """
    if config.d_ff:
        return config.d_ff
    exact = config.d_model * (8 / 3 if gated(config) else 4)
    return 64 * -int(-exact // 64)


def cache_shape(config: ModelConfig) -> tuple[int, int, int]:
    """What the cache keeps of a token in a layer: heads, width of a key, of a value."""
    if config.latent:
        return 1, config.latent.rank + config.latent.d_rope, 0
    return config.n_kv_heads, d_head(config), d_head(config)


def embeds_values(config: ModelConfig, layer: int) -> bool:
    """Whether ``layer`` has a value embedding: every other one, the last included."""
    return config.value_embeddings and (config.n_layers - 1 - layer) % 2 == 0


def parameters(config: ModelConfig) -> dict[str, int]:
    """How many parameters each part has; the values add up to the whole model."""
    layers, model, experts = config.n_layers, config.d_model, config.experts
    layer = (3 if gated(config) else 2) * model * d_ff(config)
    if config.bias == "all":
        layer += (2 if gated(config) else 1) * d_ff(config) + model
    router = experts.count * model if experts else 0
    copies = experts.count + experts.shared if experts else 1
    norm = model * (2 if config.norm == "layernorm" and config.bias == "all" else 1)
    norms = layers * (4 if config.norm_place == "sandwich" else 2) * norm
    norms += layers * _inner_norms(config)
    norms += 0 if config.norm_place == "post" else norm
    embedding = config.vocab_size * model
    keys = config.n_kv_heads * d_head(config)
    with_values = sum(embeds_values(config, layer) for layer in range(layers))
    parts = {
        "embedding": embedding,
        "positions": config.context_length * model * (config.position == "learned"),
        "attention": layers * _attention(config),
        "feed-forward": layers * (copies * layer + router),
        "norms": norms,
        "head": 0 if config.tied else embedding,
        "value embeddings": with_values
        * (config.vocab_size * keys + config.n_kv_heads),
        "skips": 2 * layers * config.skips,
    }
    new = ("value embeddings", "skips")
    return {name: count for name, count in parts.items() if count or name not in new}


def active_parameters(config: ModelConfig) -> int:
    """How many parameters one token meets: all, less the experts it isn't sent to."""
    total = sum(parameters(config).values())
    if config.experts is None:
        return total
    copies = config.experts.count + config.experts.shared
    router = config.n_layers * config.experts.count * config.d_model
    expert = (parameters(config)["feed-forward"] - router) // copies
    return total - expert * (config.experts.count - config.experts.active)


def flops_per_token(config: ModelConfig, time: int = 0) -> float:
    """Floating-point operations to train on one token, forward and backward.

    Six per weight of a matrix product (one multiplication and one addition, once forward
    and twice backward), and the scores and values of attention over ``time`` tokens (the
    context length when 0), half of them because attention is causal. Windows narrower than
    that are counted as they are; lookups, norms and biases are not.
    """
    count = parameters(config)
    idle = sum(count.values()) - active_parameters(config)
    weights = count["attention"] + count["feed-forward"] - _biases(config) - idle
    weights += config.vocab_size * config.d_model  # the head, tied or not
    time = time or config.context_length
    pattern = config.windows or (0,)
    seen = 0.0
    for layer in range(config.n_layers):
        window = pattern[layer % len(pattern)] or time
        window = min(window, time)
        seen += window - window**2 / (2 * time)  # the first tokens see fewer
    key, value = d_head(config), d_head(config)
    if config.latent:
        key += config.latent.d_rope
    return 6.0 * (weights + config.n_heads * (key + value) * seen)


def _attention(config: ModelConfig) -> int:
    """Parameters of one layer's projections, biases included."""
    model, head, heads, latent = (
        config.d_model,
        d_head(config),
        config.n_heads,
        config.latent,
    )
    if latent:
        queries = heads * (head + latent.d_rope)
        count = (
            latent.query_rank * (model + queries)
            if latent.query_rank
            else model * queries
        )
        count += model * (latent.rank + latent.d_rope)
        return count + latent.rank * heads * 2 * head + heads * head * model
    count = 2 * (heads + config.n_kv_heads) * head * model
    if config.bias != "none":
        count += (heads + 2 * config.n_kv_heads) * head
    return count + (model if config.bias == "all" else 0)


def _inner_norms(config: ModelConfig) -> int:
    """Parameters of the norms inside one attention layer."""
    if config.latent:
        return config.latent.rank + config.latent.query_rank
    return 2 * d_head(config) if config.qk_norm else 0


def _biases(config: ModelConfig) -> int:
    """Biases of attention and feed-forward layers, which cost no products."""
    if config.bias == "none":
        return 0
    per_layer = (config.n_heads + 2 * config.n_kv_heads) * d_head(config)
    if config.bias == "all":
        per_layer += 2 * config.d_model + (2 if gated(config) else 1) * d_ff(config)
    return config.n_layers * per_layer
