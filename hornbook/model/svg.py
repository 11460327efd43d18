"""A few shapes of SVG: boxes with words, arrows, sums, and grids of them.

Coordinates are pixels, y grows downward, x is a shape's middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

INK, MUTED, PAPER = "#2d3640", "#66727f", "#fbfbf9"
FILLS = {
    "norm": "#fdf3cf",
    "attention": "#dce8f6",
    "feed-forward": "#dff0dc",
    "position": "#fbe3d3",
    "embedding": "#ece3f4",
    "plain": "#ffffff",
}
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"


@dataclass
class Drawing:
    """Shapes in the order they were drawn."""

    shapes: list[str] = field(default_factory=list)

    def box(
        self, x: float, y: float, width: float, height: float, cell: "Cell"
    ) -> None:
        """A rounded box from ``y`` down, with a name and smaller words below it."""
        self.shapes.append(
            f'<rect x="{x - width / 2:g}" y="{y:g}" width="{width:g}" '
            f'height="{height:g}" rx="6" fill="{FILLS[cell.kind]}" stroke="{INK}" '
            'stroke-width="1.2"/>'
        )
        middle = y + height / 2
        if not cell.detail:
            self.words(x, middle + 4.5, cell.name)
            return
        self.words(x, middle - 3, cell.name)
        self.words(x, middle + 12, cell.detail, size=11, fill=MUTED)

    def words(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 13,
        fill: str = INK,
        anchor: str = "middle",
        bold: bool = False,
    ) -> None:
        """One line of text whose foot is at ``y``."""
        weight = ' font-weight="600"' if bold else ""
        self.shapes.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" '
            f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )

    def rise(self, x: float, start: float, end: float) -> None:
        """An arrow upward."""
        self.path(f"M {x:g} {start:g} V {end + 6:g}")
        self.head(x, end, 0, 1)

    def path(self, path: str) -> None:
        """A line along an SVG path."""
        self.shapes.append(
            f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.4"/>'
        )

    def head(self, x: float, y: float, dx: int, dy: int) -> None:
        """An arrow's head with its point at (x, y), coming from (dx, dy)."""
        left = f"{x + 7 * dx - 4 * dy:g},{y + 7 * dy + 4 * dx:g}"
        right = f"{x + 7 * dx + 4 * dy:g},{y + 7 * dy - 4 * dx:g}"
        self.shapes.append(
            f'<polygon points="{x:g},{y:g} {left} {right}" fill="{INK}"/>'
        )

    def adder(self, x: float, y: float) -> None:
        """A circled plus."""
        self.shapes.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="9" fill="{PAPER}" stroke="{INK}" '
            'stroke-width="1.4"/>'
        )
        self.path(f"M {x - 5:g} {y:g} H {x + 5:g} M {x:g} {y - 5:g} V {y + 5:g}")

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        """A panel's background, from its left top corner."""
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="10" '
            f'fill="#f1f2ee" stroke="#cfd3d0"/>'
        )

    def svg(self, width: float, height: float) -> str:
        """The whole as a file's contents."""
        body = "\n".join(self.shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" '
            f'height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
            f'font-family="{escape(FONT)}">\n'
            f'<rect width="100%" height="100%" fill="{PAPER}"/>\n{body}\n</svg>\n'
        )


@dataclass(frozen=True)
class Cell:
    """A box of a grid, over the columns ``first`` to ``last``."""

    name: str
    detail: str = ""
    kind: str = "plain"
    first: int = 0
    last: int = 0


ROW, GAP = 40, 20  # a box's height, and the way to the next


def grid_height(rows: Sequence[Sequence[Cell]]) -> float:
    """What :func:`draw_grid` needs."""
    return len(rows) * (ROW + GAP) - GAP


def draw_grid(
    drawing: Drawing,
    rows: Sequence[Sequence[Cell]],
    left: float,
    bottom: float,
    column: float,
) -> None:
    """Rows of cells from the bottom up, an arrow from each to the next one above it."""

    def middle(cell: Cell) -> float:
        return left + column * (cell.first + cell.last + 1) / 2

    def top(row: int) -> float:
        return bottom - (row + 1) * ROW - row * GAP

    for number, row in enumerate(rows):
        for cell in row:
            width = column * (cell.last - cell.first + 1) - 10
            drawing.box(middle(cell), top(number), width, ROW, cell)
            for up, other in _next_above(cell, rows[number + 1 :]):
                narrow = min(cell, other, key=lambda c: c.last - c.first)
                end = top(number + 1 + up) + ROW
                drawing.rise(middle(narrow), top(number), end)


def _next_above(cell: Cell, rows: Sequence[Sequence[Cell]]) -> list[tuple[int, Cell]]:
    """The cells that are the next ones above some column of ``cell``, and how far up."""
    found: list[tuple[int, Cell]] = []
    for column in range(cell.first, cell.last + 1):
        here = (
            (number, other)
            for number, row in enumerate(rows)
            for other in row
            if other.first <= column <= other.last
        )
        nearest = next(here, None)
        if nearest and nearest not in found:
            found.append(nearest)
    return found
