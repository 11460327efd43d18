"""What chapter 15 says about waiting, simulated: ``python -m book.experiments.serving``.

A model of a server, not a server: a step that writes one token for each of ``b`` texts takes
``FIXED + EACH * b`` seconds. Requests come at random. Takes some seconds; writes
``book/artifacts/15/waiting.json``.
"""

import random
import statistics
from collections import deque
from typing import Any

from book.experiments.record import record

FIXED, EACH = 0.010, 0.001  # seconds of a step: reading the weights, and for each text
SHORTEST, LONGEST = 16, 112  # tokens of an answer, any length between as likely
ROWS, REQUESTS, SEED = 8, 3000, 15
RATES = (0.2, 0.5, 1, 1.3, 2, 3, 4, 5, 6, 6.5, 7)  # requests a second
WAYS = ("one", "together", "continuous")


def main() -> None:
    """Every way to serve at every rate, and how full a step is worth its time."""
    curves = {way: curve(way) for way in WAYS}
    record(
        "15/waiting.json",
        {
            "fixed": FIXED,
            "each": EACH,
            "rows": ROWS,
            "requests": REQUESTS,
            "mean_tokens": (SHORTEST + LONGEST) / 2,
            "capacity": {"one": limit(1), "continuous": limit(ROWS)},
            "curves": curves,
            "rates": [
                (rows, rows / (FIXED + EACH * rows)) for rows in (*range(1, 33), 48, 64)
            ],
        },
    )


def limit(rows: int) -> float:
    """The most requests a second that steps of ``rows`` full rows can serve."""
    return rows / (FIXED + EACH * rows) / ((SHORTEST + LONGEST) / 2)


def curve(way: str) -> list[dict[str, Any]]:
    """The mean and the 95th percentile of seconds from request to end, by rate."""
    rows = []
    for rate in RATES:
        waits = simulate(way, rate)
        if statistics.fmean(waits[-300:]) > 30:
            break  # more comes than can be served: the line grows without end
        rows.append(
            {
                "rate": rate,
                "mean": statistics.fmean(waits),
                "late": statistics.quantiles(waits, n=20)[-1],
            }
        )
    return rows


def simulate(way: str, rate: float) -> list[float]:
    """Seconds from request to end of each request, in the order in which they end."""
    dice, clock, done = random.Random(SEED), 0.0, []
    come: deque[tuple[float, int]] = deque()
    for _ in range(REQUESTS):
        clock += dice.expovariate(rate)
        come.append((clock, dice.randint(SHORTEST, LONGEST)))
    now, rows = 0.0, []
    room = 1 if way == "one" else ROWS
    while come or rows:
        if not rows:
            now = max(now, come[0][0])
        if way != "together" or not rows:
            while come and come[0][0] <= now and len(rows) < room:
                rows.append(list(come.popleft()))
        now += FIXED + EACH * len(rows)
        for row in rows:
            row[1] -= 1
            if row[1] == 0:
                done.append(now - row[0])
        if way != "together" or all(row[1] <= 0 for row in rows):
            rows = [row for row in rows if row[1] > 0]
    return done


if __name__ == "__main__":
    main()
