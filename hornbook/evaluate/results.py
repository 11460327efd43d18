"""One form for every measured result, whoever measured it.

A result is a plain dictionary, ready for JSON and for the report:
``task, metric, value, n, ci95 [low, high], higher_is_better, baselines {name: value}, note``.
"""

from pathlib import Path
from typing import NotRequired, TypedDict

from hornbook.core.files import read_json, write_json


class Result(TypedDict):
    """``n`` is how many things were measured; ``ci95`` and ``baselines`` where known."""

    task: str
    metric: str
    value: float
    n: int
    higher_is_better: bool
    ci95: NotRequired[list[float]]
    baselines: NotRequired[dict[str, float]]
    note: NotRequired[str]


def save_results(results: list[Result], path: Path) -> None:
    """Write ``results`` as JSON, in one step."""
    write_json(path, {"schema": 1, "results": results})


def read_results(path: Path) -> list[Result]:
    """What :func:`save_results` wrote."""
    return read_json(path)["results"]


def results_table(results: list[Result]) -> str:
    """The results as aligned lines of text, for a terminal."""
    rows = [("task", "result", "95 % interval", "n", "compared with")]
    for result in results:
        low_high = result.get("ci95")
        others = sorted(result.get("baselines", {}).items(), key=lambda item: item[1])
        rows.append(
            (
                result["task"],
                f"{result['value']:.3f} {result['metric']}",
                f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else "",
                f"{result['n']:,}",
                ", ".join(f"{name} {value:.3f}" for name, value in others),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
