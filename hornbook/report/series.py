"""Curves thinned to what a page can show, with every spike still on them."""

import math
from collections.abc import Sequence

Point = tuple[float, float]


def thin(points: Sequence[Sequence[float]], n: int = 600) -> list[Point]:
    """At most ``n`` of the points (at least 4), in their order.

    The inner points are put into buckets of equal length; each gives its lowest and its
    highest one, so a spike of a single step survives. First and last always stay.
    Points that are not finite cannot be drawn and are left out.
    """
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(finite) <= n:
        return finite
    inner = range(1, len(finite) - 1)
    buckets = max(1, (n - 2) // 2)
    kept = {0, len(finite) - 1}
    for k in range(buckets):
        bucket = inner[k * len(inner) // buckets : (k + 1) * len(inner) // buckets]
        kept.add(min(bucket, key=lambda i: finite[i][1]))
        kept.add(max(bucket, key=lambda i: finite[i][1]))
    return [finite[i] for i in sorted(kept)]


def not_finite(points: Sequence[Sequence[float]]) -> int:
    """How many points are NaN or infinite."""
    return sum(not (math.isfinite(x) and math.isfinite(y)) for x, y in points)
