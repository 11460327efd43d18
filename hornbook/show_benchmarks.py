"""Showing what benchmarks say of a model, and of two side by side."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hornbook.benchmarks import records_of, run_benchmarks
from hornbook.core.errors import UserError
from hornbook.evaluate import compare
from hornbook.evaluate.results import results_table
from hornbook.stages import model_directory
from hornbook.talk import open_engine

LISTED = 20  # items by number
console = Console(highlight=False)


def show_benchmarks(
    path: Path,
    stage: str | None,
    names: tuple[str, ...],
    device: str,
    out: Path | None,
    as_json: bool,
    contamination: bool = False,
    **options: Any,
) -> None:
    """Run benchmarks on a model and show what came of them.

    Raises :class:`UserError` where ``contamination`` is asked and no training text is there.
    """
    training = path / "split" / "train" if contamination else None
    if training and not training.is_dir():
        raise UserError(f"{path} holds no training text (split/train) to compare with.")
    engine = open_engine(path, stage, device)
    model = model_directory(path, stage)
    kept = out or path / "benchmarks"
    results = run_benchmarks(
        engine, model, names, out=kept, training=training, **options
    )
    if as_json:
        console.print_json(msgspec.json.encode(results).decode())
    else:
        console.print(results_table(results))


def show_comparison(a: Path, b: Path, as_json: bool) -> None:
    """Two evaluated models side by side, item by item."""
    found = compare.compare(records_of(a), records_of(b))
    if as_json:
        console.print_json(compare.as_json(found).decode())
        return
    table = Table(
        title=f"A: {escape(str(a))}\nB: {escape(str(b))}", title_justify="left"
    )
    columns = ("on", "n", "A", "B", "B − A", "p", "verdict")
    for name in columns:
        table.add_column(name, justify="left" if name in ("on", "verdict") else "right")
    for one in found:
        table.add_row(*map(Text, _comparison_row(one)))
    console.print(table, Text("Below B − A is its 95 % interval.", style="dim"))
    for one in found:
        for side, items in (("A", one.only_a), ("B", one.only_b)):
            if items:
                listed = ", ".join(map(str, items[:LISTED]))
                rest = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
                told = (
                    f"{one.task} {one.metric}, only {side} right: items {listed}{rest}"
                )
                console.print(Text(told, style="dim"))


def _comparison_row(one: compare.Comparison) -> tuple[str, ...]:
    low, high = one.ci95
    verdict = "could be luck"
    if one.separate:
        verdict = f"{'B' if one.b > one.a else 'A'} is higher"
    elif one.more:
        verdict += f";\n{one.more:,} more would tell"
    return (
        f"{one.task} {one.metric}",
        f"{one.n:,}",
        f"{one.a:.3f}",
        f"{one.b:.3f}",
        f"{one.b - one.a:+.3f}\n{low:+.3f} to {high:+.3f}",
        f"{one.p:.3f}",
        verdict,
    )
