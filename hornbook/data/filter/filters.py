"""Rules that documents must pass. Numbers first, decisions later.

:mod:`~hornbook.data.filter.statistics` measures; :mod:`~hornbook.data.filter.rules` holds
the bounds. The numbers of all documents, kept or not, are stored in ``statistics.parquet``.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_sizes
from hornbook.data.config import FilterConfig
from hornbook.data.documents import (
    Document,
    DocumentFile,
    count_documents,
    documents_file,
)
from hornbook.data.filter.expression import evaluate
from hornbook.data.filter.rules import Rule, decide, rules, with_preset
from hornbook.data.filter.statistics import measure
from hornbook.data.filter.weblines import keep_c4_lines
from hornbook.data.filter.webstatistics import measure_web
from hornbook.data.funnel import Tally
from hornbook.data.units import (
    THREADS,
    UNIT_BYTES,
    DocumentUnit,
    basis,
    document_units,
    each_unit,
    join_numbers,
    state_of,
    write_numbers,
)

HEAD_LINES = 12
HEAD_CHARACTERS = 2000
COMMENT = re.compile(r"\s*(#|//|/\*|\*|--|;|%|<!--|\"\"\"|''')")
GENERATED = re.compile(
    r"auto-?generated|automatically generated|@generated|do not (edit|modify)"
    r"|\b(file|module|code|codec|configuration)\b[^.]{0,40}\bgenerated (by|from|on|and)\b",
    re.IGNORECASE,
)


def looks_generated(text: str) -> bool:
    """Whether a comment within the first lines says that a program wrote the file."""
    head = text[:HEAD_CHARACTERS].split("\n")[:HEAD_LINES]
    return any(COMMENT.match(line) and GENERATED.search(line) for line in head)


def filter_documents(
    config: FilterConfig, documents: Path, out: Path
) -> dict[str, Any]:
    """Measure every document, keep the ones that pass; returns the funnel facts.

    Writes the kept documents and ``statistics.parquet``: ``id``, every number, and the
    ``reason`` (empty when kept). Under C4's rules the kept documents lose some lines.
    """
    config = with_preset(config)
    tally = Tally("filter")
    done = 0

    def work(number: int, unit: DocumentUnit) -> dict[str, Any]:
        return filter_unit(number, unit, config, out)

    with Progress("filter", count_documents(documents), "doc") as progress:
        units = document_units(documents)
        of = basis(config, state_of(documents), UNIT_BYTES)
        for facts, earlier in each_unit(work, units, out, THREADS, of):
            tally.add(facts)
            progress.advance(facts["documents_in"], earlier=earlier)
            done += 1
    join_numbers(out, done)
    return tally.facts()


def filter_unit(
    number: int, unit: DocumentUnit, config: FilterConfig, out: Path
) -> dict[str, Any]:
    """Measure and judge one unit's documents; write its kept ones and its numbers."""
    asked = rules(config) if config.enabled else []
    reasons = np.array([*(rule.reason for rule in asked), "own rule", ""])
    tally = Tally("filter")
    numbers: list[pa.Table] = []
    with DocumentFile(documents_file(out, number)) as writer:
        for table in unit.tables():
            columns = measure_table(table, config)
            verdict = judge(columns, asked, config)
            kept = _shorten(table.filter(pa.array(verdict < 0)), config)
            _count(table, kept, reasons[verdict], tally)
            writer.write_table(kept)
            stored = {"id": table.column("id"), **columns, "reason": reasons[verdict]}
            numbers.append(pa.table(stored))
    write_numbers(out, number, numbers)
    return tally.facts()


def measure_table(table: pa.Table, config: FilterConfig) -> dict[str, np.ndarray]:
    """Every number that rules may ask for, one array over the rows each.

    The web rules' numbers cost most, and are only there when such a rule is asked for.
    """
    texts = column_texts(table)
    columns = measure(texts) | {"generated": _generated(texts)}
    return columns | (measure_web(texts) if needs_web(config) else {})


def _generated(texts: pa.LargeStringArray) -> np.ndarray:
    """:func:`looks_generated` of each; only texts that hold one of its words are looked at."""
    words = "generated|do not (edit|modify)"
    heads = pc.utf8_slice_codeunits(texts, 0, HEAD_CHARACTERS)  # type: ignore
    maybe = pc.match_substring_regex(heads, words, ignore_case=True)  # type: ignore
    found = np.zeros(len(texts))
    for row in np.flatnonzero(maybe.to_numpy(zero_copy_only=False)).tolist():
        found[row] = looks_generated(heads[row].as_py())
    return found


def needs_web(config: FilterConfig) -> bool:
    """Whether a rule asks for a number that only :func:`measure_web` gives."""
    tables = (
        config.gopher_quality,
        config.gopher_repetition,
        config.c4,
        config.fineweb,
    )
    return any(tables) or bool(config.keep)


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
    """The documents without the lines that C4 drops, where that is asked for."""
    if not (config.enabled and config.c4 and config.c4.drop_lines and table.num_rows):
        return table
    texts = keep_c4_lines(column_texts(table), config.c4.closed_lines_only)
    return table.set_column(table.schema.get_field_index("text"), "text", texts)


def _count(table: pa.Table, kept: pa.Table, reasons: np.ndarray, tally: Tally) -> None:
    sizes = text_sizes(table)
    tally.take(len(sizes), int(sizes.sum()))
    tally.keep(kept.num_rows, int(text_sizes(kept).sum()) if kept.num_rows else 0)
    for row in np.flatnonzero(reasons != "").tolist():
        reason = str(reasons[row])
        if tally.needs_example(reason):
            tally.drop(Document(**table.slice(row, 1).to_pylist()[0]), reason)
        else:
            tally.count_dropped(reason, int(sizes[row]))
