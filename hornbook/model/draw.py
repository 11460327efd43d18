"""A picture of the model as configured: the stack, and what is inside one of its blocks.

:func:`draw` returns an SVG. Data flow upward: tokens come in at the bottom, logits leave at
the top. The panels on the right open the two boxes of the block.
"""

from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.mask import windows
from hornbook.model.svg import (
    GAP,
    MUTED,
    ROW,
    Cell,
    Drawing,
    draw_grid,
    grid_height,
)

STACK, PANEL, PANEL_WIDTH = 190, 400, 450  # middle of the stack; the panels' left side
WIDTH, MARGIN, TITLE = 880, 30, 40
NORMS = {"rmsnorm": "RMSNorm", "layernorm": "LayerNorm"}
ACTIVATIONS = {
    "swiglu": "SiLU",
    "geglu": "GELU",
    "gelu": "GELU",
    "relu": "ReLU",
    "relu2": "ReLU²",
}
POSITIONS = {"learned": "learned positions", "sinusoidal": "sines and cosines"}


def draw(config: ModelConfig, title: str = "") -> str:
    """The picture of ``config``, an SVG document; ``title`` stands above it."""
    panels = [
        (attention_title(config), attention_rows(config)),
        (feed_forward_title(config), feed_forward_rows(config)),
    ]
    heights = [grid_height(rows) + 2 * MARGIN + 6 for _, rows in panels]
    stack = _stack_height(config)
    height = max(stack, sum(heights) + GAP) + TITLE + MARGIN + 24
    drawing = Drawing()
    drawing.words(MARGIN, 32, title or "One transformer", 18, anchor="start", bold=True)
    total = sum(sizes.parameters(config).values())
    drawing.words(WIDTH - MARGIN, 32, f"{total:,} parameters", 13, MUTED, anchor="end")
    _draw_stack(drawing, config, TITLE + MARGIN, height - MARGIN)
    bottom = height - MARGIN
    for (name, rows), tall in zip(panels, heights, strict=True):
        drawing.frame(PANEL, bottom - tall, PANEL_WIDTH, tall)
        drawing.words(
            PANEL + 20, bottom - tall + 28, name, 14, anchor="start", bold=True
        )
        column = (PANEL_WIDTH - 30) / _columns(rows)
        draw_grid(drawing, rows, PANEL + 15, bottom - MARGIN + 8, column)
        bottom -= tall + GAP
    return drawing.svg(WIDTH, height)


def _columns(rows: list[list[Cell]]) -> int:
    return 1 + max(cell.last for row in rows for cell in row)


# ------------------------------------------------------------------------------- the stack


def _parts(config: ModelConfig) -> list[tuple[str, Cell | None]]:
    """The stack from the bottom up: boxes, and marks between them.

    ``fork`` leaves the residual stream, ``add`` comes back to it, ``open`` and ``close``
    bound the repeated block.
    """
    norm = Cell(NORMS[config.norm], kind="norm")
    before = [norm] if config.norm_place in ("pre", "sandwich") else []
    after = [norm] if config.norm_place == "sandwich" else []
    behind = [norm] if config.norm_place == "post" else []
    attention = Cell("Attention", _attention_detail(config), "attention")
    if config.experts:
        detail = f"{config.experts.active} of {config.experts.count} experts"
    else:
        detail = f"{config.d_model} → {sizes.d_ff(config)} → {config.d_model}"
    feed_forward = Cell("Feed-forward", detail, "feed-forward")
    scale = ""
    if config.embedding_scale != 1:
        scale = f", scaled by {config.embedding_scale:.4g}"
    vocabulary = f"{config.vocab_size:,} × {config.d_model}"
    boxes: list[tuple[str, Cell | None]] = [
        ("box", Cell("Embedding", vocabulary + scale, "embedding"))
    ]
    if config.position in POSITIONS:
        boxes.append(("box", Cell(f"+ {POSITIONS[config.position]}", "", "position")))
    boxes.append(("open", None))
    if config.skips:
        boxes.append(("box", Cell("shares of stream and embedding", "", "position")))
    for part in (attention, feed_forward):
        inner = [*before, part, *after]
        boxes += [("fork", None), *(("box", cell) for cell in inner), ("add", None)]
        boxes += [("box", cell) for cell in behind]
    boxes.append(("close", None))
    if config.norm_place != "post":
        boxes.append(("box", norm))
    head = "tied to the embedding" if config.tied else vocabulary
    boxes.append(("box", Cell("Head", head, "embedding")))
    if config.logit_cap:
        boxes.append(("box", Cell(f"soft cap ±{config.logit_cap:g}", "", "position")))
    return boxes


HEIGHTS = {"box": ROW + GAP, "add": 20 + GAP, "fork": 16, "open": 20, "close": 20}


def _stack_height(config: ModelConfig) -> float:
    return sum(
        HEIGHTS[mark] - (12 if _thin(cell) else 0) for mark, cell in _parts(config)
    )


def _thin(cell: Cell | None) -> bool:
    return cell is not None and not cell.detail


def _draw_stack(
    drawing: Drawing, config: ModelConfig, top: float, bottom: float
) -> None:
    parts = _parts(config)
    y = bottom - max(0, bottom - top - 24 - _stack_height(config)) // 2
    drawing.words(STACK, y + 4, "tokens", fill=MUTED)
    y -= 10
    marks: list[tuple[float, float]] = []
    shapes, frame_bottom, frame_top = Drawing(), y, y
    start, fork = y, y  # where the line to the next box starts; where the stream forked
    for mark, cell in parts:
        if mark == "open":
            frame_bottom = y - 6
            y -= HEIGHTS[mark]
        elif mark == "close":
            y -= HEIGHTS[mark]
            frame_top = y + 6
        elif mark == "fork":
            fork = y - 10
            y -= HEIGHTS[mark]
        elif mark == "add":
            centre = y - GAP - 10
            shapes.rise(STACK, start, centre + 9)
            shapes.adder(STACK, centre)
            marks.append((fork, centre))
            start = y = centre - 10
        elif cell is not None:
            height = ROW - (12 if _thin(cell) else 0)
            end = y - GAP
            shapes.rise(STACK, start, end)
            shapes.box(STACK, end - height, 210, height, cell)
            start = y = end - height
    shapes.rise(STACK, start, y - GAP)
    shapes.words(STACK, y - GAP - 6, "logits", fill=MUTED)
    drawing.frame(40, frame_top, 320, frame_bottom - frame_top)
    drawing.words(
        348, frame_top + 22, f"× {config.n_layers}", 14, anchor="end", bold=True
    )
    drawing.shapes += shapes.shapes
    for low, high in marks:
        _draw_way_round(drawing, low, high)


def _draw_way_round(drawing: Drawing, low: float, high: float) -> None:
    """The residual stream's own way, past the boxes on their left."""
    x, r = STACK - 128, 8
    drawing.path(
        f"M {STACK:g} {low:g} H {x + r:g} Q {x:g} {low:g} {x:g} {low - r:g} "
        f"V {high + r:g} Q {x:g} {high:g} {x + r:g} {high:g} H {STACK - 15:g}"
    )
    drawing.head(STACK - 9, high, -1, 0)


# ------------------------------------------------------------------------------ the panels


def _attention_detail(config: ModelConfig) -> str:
    heads = f"{config.n_heads} heads of {sizes.d_head(config)}"
    if config.latent:
        return f"{heads}, latent of {config.latent.rank}"
    if config.n_kv_heads == config.n_heads:
        return heads
    return f"{heads}, {config.n_kv_heads} for keys"


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
