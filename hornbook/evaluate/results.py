"""One form for every measured result, whoever measured it.

A result is a plain dictionary, ready for JSON and for the report:
``task, metric, value, n, ci95 [low, high], higher_is_better, baselines {name: value}, note``.
"""

from pathlib import Path
from typing import NotRequired, TypedDict

from rich.table import Table
from rich.text import Text

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


def results_table(results: list[Result]) -> Table:
    """The results as a table for the terminal, each beside what it is compared with."""
    table = Table(title="Results", title_justify="left")
    for name in ("on", "result", "95 % interval", "n", "compared with"):
        table.add_column(name, justify="right" if name == "n" else "left")
    for result in results:
        low_high = result.get("ci95")
        others = sorted(result.get("baselines", {}).items(), key=lambda item: item[1])
        cells = (
            "\n".join(filter(None, (result["task"], result.get("note")))),
            f"{result['value']:.3f} {result['metric']}",
            f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else "",
            f"{result['n']:,}",
            "\n".join(f"{value:.3f} {name}" for name, value in others),
        )
        table.add_row(*map(Text, cells))
    return table
