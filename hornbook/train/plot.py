"""A scaling law as a picture: one curve per size, the runs as dots, drawn as SVG by hand."""

import math
from collections.abc import Sequence

from hornbook.core.progress import short_number
from hornbook.train.scaling import Law, Point

WIDTH, HEIGHT = 640.0, 420.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 110.0, 24.0, 48.0
COLORS = ("#332288", "#117733", "#cc6677", "#88ccee", "#ddaa33", "#aa4499", "#44aa99")


def law_svg(law: Law, points: Sequence[Point]) -> str:
    """Held-out loss over tokens (logarithmic), for every size among ``points``."""
    tokens = [d for _, d, _ in points]
    low, high = min(tokens) / 1.5, max(tokens) * 4
    sizes = sorted({n for n, _, _ in points})
    curves = {n: [(d, law.loss(n, d)) for d in _steps(low, high, 60)] for n in sizes}
    losses = [y for curve in curves.values() for _, y in curve] + [p[2] for p in points]
    bottom, top = min(losses) - 0.05, max(losses) + 0.05

    def x(value: float) -> float:
        share = math.log(value / low) / math.log(high / low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (top - value) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    parts = [*_axes(low, high, bottom, top, x, y)]
    for n, color in zip(sizes, COLORS * len(sizes), strict=False):
        line = " ".join(f"{x(d):.1f},{y(v):.1f}" for d, v in curves[n])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}"/>')
        parts += [
            f'<circle cx="{x(d):.1f}" cy="{y(v):.1f}" r="3.5" fill="{color}"/>'
            for size, d, v in points
            if size == n
        ]
        last = curves[n][-1][1]
        parts.append(_text(x(high) + 6, y(last) + 4, short_number(n), color=color))
    parts.append(
        _text(
            LEFT,
            16,
            f"L = {law.E:.3f} + {law.A:.3g} / N^{law.a:.3f} + {law.B:.3g} / D^{law.b:.3f}"
            f", off by {law.error:.3f}",
        )
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _axes(low, high, bottom, top, x, y) -> list[str]:
    parts = []
    for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        for multiple in (1, 2, 5):
            value = multiple * 10.0**power
            if low <= value <= high:
                parts.append(_line(x(value), TOP, x(value), HEIGHT - BOTTOM))
                label = short_number(value)
                parts.append(_text(x(value), HEIGHT - BOTTOM + 18, label, "middle"))
    step = 10 ** math.floor(math.log10(top - bottom))
    step = step if (top - bottom) / step > 3 else step / 2
    for tick in range(math.ceil(bottom / step), math.floor(top / step) + 1):
        value = tick * step
        parts.append(_line(LEFT, y(value), WIDTH - RIGHT, y(value)))
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:.3g}", "end"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 10, "tokens seen", "middle"))
    parts.append(_text(8, TOP - 8, "nats"))
    return [*parts, _text(WIDTH - RIGHT + 6, TOP - 8, "parameters")]


def _steps(low: float, high: float, count: int) -> list[float]:
    return [low * (high / low) ** (n / (count - 1)) for n in range(count)]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="#dddddd"/>'


def _text(
    x: float, y: float, text: str, anchor: str = "start", color: str = "#333"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"'
    return f"<text {place}>{text}</text>"
