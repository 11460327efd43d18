"""What is inside the two parts of a block, as rows of boxes for the panels of draw.py.

Rows run from the bottom up; in attention the columns are query, key and value.
"""

from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.mask import windows
from hornbook.model.svg import Cell

ACTIVATIONS = {
    "swiglu": "SiLU",
    "geglu": "GELU",
    "gelu": "GELU",
    "relu": "ReLU",
    "relu2": "ReLU²",
}


def attention_title(config: ModelConfig) -> str:
    """Which of the family it is."""
    if config.latent:
        return "Multi-head latent attention (MLA)"
    if config.n_kv_heads == config.n_heads:
        return "Multi-head attention (MHA)"
    kind = "Multi-query" if config.n_kv_heads == 1 else "Grouped-query"
    short = "MQA" if config.n_kv_heads == 1 else "GQA"
    return f"{kind} attention ({short})"


def attention_rows(config: ModelConfig) -> list[list[Cell]]:
    """Inside attention, from the bottom up; columns are query, keys, value."""
    rows = _latent_rows(config) if config.latent else _projection_rows(config)
    last = 2 if config.latent else 1  # the last column of keys
    if config.position == "rope":
        base = f"base {config.rope_base:,.0f}"
        if config.rope_scaling:
            base += f", {config.rope_scaling.kind} × {config.rope_scaling.factor:g}"
        turn = Cell("turn by position (RoPE)", base, "position", 0, 1)
        rows.append([turn])
    cap = f", capped at ±{config.score_cap:g}" if config.score_cap else ""
    product = f"query · key / √{_score_width(config)}{cap}"
    rows.append([Cell("scores", product, last=last)])
    if config.position == "alibi":
        slope = Cell("− slope × distance (ALiBi)", "", "position", 0, 1)
        rows.append([slope])
    rows.append([Cell("hide later tokens", _window_words(config), last=last)])
    rows.append([Cell("softmax", last=last)])
    rows.append([Cell("weighted mean of values", last=last + 1)])
    width = config.n_heads * sizes.d_head(config)
    out = Cell("output", f"{width} → {config.d_model}", "attention", 0, last + 1)
    return [*rows, [out]]


def _score_width(config: ModelConfig) -> int:
    return sizes.d_head(config) + (config.latent.d_rope if config.latent else 0)


def _window_words(config: ModelConfig) -> str:
    """The windows layer by layer, once round their pattern."""
    pattern = list(dict.fromkeys(windows(config)))
    if pattern == [0]:
        return f"all of {config.context_length:,} tokens are in sight"
    cycle = config.windows[: config.n_layers]
    named = [f"{window:,}" if window else "all" for window in cycle[:6]]
    return "in sight, by layer: " + ", ".join(named) + (" …" if len(cycle) > 6 else "")


def _projection_rows(config: ModelConfig) -> list[list[Cell]]:
    head, bias = sizes.d_head(config), " + bias" if config.bias != "none" else ""

    def projection(name: str, heads: int, column: int) -> Cell:
        detail = f"{config.d_model} → {heads} × {head}{bias}"
        return Cell(name, detail, "attention", column, column)

    rows = [
        [
            projection("query", config.n_heads, 0),
            projection("key", config.n_kv_heads, 1),
            projection("value", config.n_kv_heads, 2),
        ]
    ]
    above = []
    if config.qk_norm:
        above += [Cell("RMSNorm", "", "norm", column, column) for column in (0, 1)]
    if config.value_embeddings:
        added = Cell("+ embedding", "every other layer", "position", 2, 2)
        above.append(added)
    return [*rows, above] if above else rows


def _latent_rows(config: ModelConfig) -> list[list[Cell]]:
    latent = config.latent
    assert latent is not None
    head, model = sizes.d_head(config), config.d_model
    first = [
        Cell("turned key", f"{model} → {latent.d_rope}", "attention", 1, 1),
        Cell("latent, cached", f"{model} → {latent.rank}, normed", "attention", 2, 3),
    ]
    queries = f"→ {config.n_heads} × ({head} + {latent.d_rope})"
    if latent.query_rank:
        narrow = f"{model} → {latent.query_rank}"
        first.insert(0, Cell("its latent", narrow, "attention", 0, 0))
    keys = f"→ {config.n_heads} × {head}"
    second = [
        Cell("query", queries, "attention", 0, 0),
        Cell("key", keys, "attention", 2, 2),
        Cell("value", keys, "attention", 3, 3),
    ]
    return [first, second]


def feed_forward_title(config: ModelConfig) -> str:
    """Which of the family it is."""
    names = {"swiglu": "SwiGLU", "geglu": "GeGLU"}
    kind = names.get(config.mlp, ACTIVATIONS[config.mlp])
    return (
        f"Mixture of experts ({kind})" if config.experts else f"Feed-forward ({kind})"
    )


def feed_forward_rows(config: ModelConfig) -> list[list[Cell]]:
    """Inside the feed-forward layer, from the bottom up."""
    if config.experts:
        return _expert_rows(config)
    model, width = config.d_model, sizes.d_ff(config)
    bias = " + bias" if config.bias == "all" else ""
    up = f"{model} → {width}{bias}"
    down = Cell("down", f"{width} → {model}{bias}", "feed-forward", 0, 1)
    activation = Cell(ACTIVATIONS[config.mlp], "", "plain", 0, 1)
    if not sizes.gated(config):
        return [[Cell("up", up, "feed-forward", 0, 1)], [activation], [down]]
    return [
        [Cell("gate", up, "feed-forward", 0, 0), Cell("up", up, "feed-forward", 1, 1)],
        [Cell(ACTIVATIONS[config.mlp], "", "plain", 0, 0)],
        [Cell("multiply", "", "plain", 0, 1)],
        [down],
    ]


def _expert_rows(config: ModelConfig) -> list[list[Cell]]:
    experts = config.experts
    assert experts is not None
    model, width = config.d_model, sizes.d_ff(config)
    shared = experts.shared
    last = 3 + bool(shared)
    size = f"{model} → {width}"
    names = ("expert 1", "expert 2", "…", f"expert {experts.count}")
    if experts.count < 4:
        names = tuple(f"expert {n + 1}" for n in range(experts.count))
        last = len(names) - 1 + bool(shared)
    row = [
        Cell(name, size if name != "…" else "", "feed-forward", n, n)
        for n, name in enumerate(names)
    ]
    if shared:
        plural = f"{shared} shared" if shared > 1 else "shared"
        row.append(Cell(plural, size, "feed-forward", last, last))
    router = f"{model} → {experts.count} scores; the best {experts.active} answer"
    total = "sum, weighed by the softmax of the best scores"
    return [
        [Cell("router", router, "position", 0, last - bool(shared))],
        row,
        [Cell(total, "", "plain", 0, last)],
    ]
