"""Rules that documents must pass. Numbers first, decisions later.

:mod:`~hornbook.data.filter.measures` measures; :mod:`~hornbook.data.filter.rules` holds the
bounds. The numbers of all documents, kept or not, are stored in ``statistics.parquet``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_sizes
from hornbook.data.documents import (
    Document,
    DocumentFile,
    count_documents,
    documents_file,
)
from hornbook.data.filter.boilerplate import (
    LineCounts,
    count_boilerplate,
    cut_boilerplate,
)
from hornbook.data.filter.c4 import keep_c4_lines
from hornbook.data.filter.config import FilterConfig
from hornbook.data.filter.expression import evaluate
from hornbook.data.filter.linescan import keep_lines
from hornbook.data.filter.measures import (
    StoredNumbers,
    check_lists,
    measure_table,
    number_table,
)
from hornbook.data.filter.pagelines import prose_lines
from hornbook.data.filter.rules import Rule, decide, rules, with_preset
from hornbook.data.funnel import Tally
from hornbook.data.units import DocumentUnit, join_numbers, pass_over, write_numbers


def filter_documents(
    config: FilterConfig, documents: Path, out: Path, earlier: Path | None = None
) -> dict[str, Any]:
    """Measure every document, keep the ones that pass; returns the funnel facts.

    Writes the kept documents and ``statistics.parquet``: ``id``, every number, and the
    ``reason`` (empty when kept). Under C4's and RefinedWeb's rules the kept documents lose
    some lines. ``earlier`` is the directory of an earlier filtering: numbers that stand
    there for the same texts are not measured again.
    """
    config = with_preset(config)
    facts = check_lists(config)
    boilerplate = config.boilerplate if config.enabled else None
    counts = count_boilerplate(boilerplate, documents) if boilerplate else None
    stored = StoredNumbers(earlier) if earlier else None

    def work(number: int, unit: DocumentUnit) -> dict[str, Any]:
        return _filter_unit(number, unit, config, counts, stored, out)

    tally = Tally("filter")
    cuts: list[dict[str, Any]] = []
    done = 0
    with Progress("filter", count_documents(documents), "doc") as progress:
        for unit in pass_over(work, documents, out, progress, config):
            tally.add(unit["tally"])
            cuts += unit["cuts"]
            done += 1
    join_numbers(out, done)
    return tally.facts(**facts, **_cut_facts(cuts))


def _filter_unit(
    number: int,
    unit: DocumentUnit,
    config: FilterConfig,
    counts: LineCounts | None,
    stored: StoredNumbers | None,
    out: Path,
) -> dict[str, Any]:
    """Measure and judge one unit's documents; write its kept ones and its numbers."""
    asked = rules(config) if config.enabled else []
    reasons = np.array([*(rule.reason for rule in asked), "own rule", ""])
    tally = Tally("filter")
    numbers: list[pa.Table] = []
    cuts: list[dict[str, Any]] = []
    with DocumentFile(documents_file(out, number)) as writer:
        for table in unit.tables():
            shorter, cut = table, {}
            if config.boilerplate and counts:
                shorter, cut = cut_boilerplate(table, counts, config.boilerplate)
                cuts.append(cut)
            columns = measure_table(shorter, config, stored)
            verdict = judge(columns, asked, config)
            kept = _shorten(shorter.filter(pa.array(verdict < 0)), config)
            _count(table, kept, reasons[verdict], tally)
            writer.write_table(kept)
            numbers.append(number_table(shorter, columns, reasons[verdict], config))
    write_numbers(out, number, numbers)
    return {"tally": tally.facts(), "cuts": cuts}


def judge(
    columns: dict[str, np.ndarray], asked: list[Rule], config: FilterConfig
) -> np.ndarray:
    """Per document the first rule it breaks, ``len(asked)`` for one's own, -1 when kept."""
    verdict = decide(columns, asked)
    if config.enabled and config.keep:
        own = ~evaluate(config.keep, columns)
        verdict[(verdict < 0) & own] = len(asked)
    return verdict


def _shorten(table: pa.Table, config: FilterConfig) -> pa.Table:
    """The documents without the lines that C4 or RefinedWeb drop, where that is asked for."""
    if not config.enabled or not table.num_rows:
        return table
    place, texts = table.schema.get_field_index("text"), column_texts(table)
    if config.web_lines and config.web_lines.drop_lines:
        prose = prose_lines(texts, config.web_lines.max_uppercase)
        texts = keep_lines(texts, prose)
    if config.c4 and config.c4.drop_lines:
        texts = keep_c4_lines(texts, config.c4.closed_lines_only)
    return table.set_column(place, "text", texts)


def _cut_facts(cuts: list[dict[str, Any]]) -> dict[str, Any]:
    """What was cut from documents as boilerplate, all batches together."""
    cuts = [cut for cut in cuts if cut]
    if not cuts:
        return {}
    examples = dict.fromkeys(line for cut in cuts for line in cut["examples"])
    return {
        "boilerplate_lines": sum(cut["lines"] for cut in cuts),
        "boilerplate_bytes": sum(cut["bytes"] for cut in cuts),
        "boilerplate_examples": list(examples)[:50],
    }


def _count(table: pa.Table, kept: pa.Table, reasons: np.ndarray, tally: Tally) -> None:
    sizes = text_sizes(table)
    tally.take_table(table)
    tally.keep_table(kept)
    for row in np.flatnonzero(reasons != "").tolist():
        reason = str(reasons[row])
        if tally.needs_example(reason):
            tally.drop(Document(**table.slice(row, 1).to_pylist()[0]), reason)
        else:
            tally.count_dropped(reason, int(sizes[row]))
