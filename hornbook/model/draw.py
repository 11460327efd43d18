"""A picture of the model as configured: the stack, and what is inside one of its blocks.

:func:`draw` returns an SVG. Data flow upward: tokens come in at the bottom, logits leave at
the top. The panels on the right open the two boxes of the block.
"""

from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.draw_panels import (
    attention_rows,
    attention_title,
    feed_forward_rows,
    feed_forward_title,
)
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
        if config.experts.shared:
            detail += f" + {config.experts.shared} shared"
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


def _attention_detail(config: ModelConfig) -> str:
    heads = f"{config.n_heads} heads of {sizes.d_head(config)}"
    if config.latent:
        return f"{heads}, latent of {config.latent.rank}"
    if config.n_kv_heads == config.n_heads:
        return heads
    return f"{heads}, {config.n_kv_heads} for keys"
