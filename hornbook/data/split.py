"""Sets validation text aside, so that what the model is measured on was never trained on."""

import heapq
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.arrow import text_sizes
from hornbook.data.config import SplitConfig
from hornbook.data.documents import (
    DocumentFile,
    count_documents,
    documents_file,
    read_tables,
)
from hornbook.data.funnel import Tally
from hornbook.data.units import DocumentUnit, pass_over

SIDES = ("train", "validation")


def split(config: SplitConfig, documents: Path, out: Path) -> dict[str, Any]:
    """Write ``out/train`` and ``out/validation``; returns the funnel facts.

    Raises :class:`UserError` when either would be empty.
    """
    tally = Tally("split")
    sides = {side: {"documents": 0, "bytes": 0} for side in SIDES}
    for side in SIDES:
        (out / side).mkdir(parents=True, exist_ok=True)

    limit = _limit(config, documents)

    def work(number: int, unit: DocumentUnit) -> dict[str, Any]:
        return split_unit(number, unit, config, limit, out)

    total = count_documents(documents)
    with Progress("split", total=total, unit="doc") as progress:
        for facts in pass_over(work, documents, out, progress, config):
            tally.add(facts["tally"])
            for side in SIDES:
                for name, count in facts[side].items():
                    sides[side][name] += count
    for side, counts in sides.items():
        if not counts["bytes"]:
            raise UserError(
                f"The {side} set is empty: {total} documents, 'data.split.by' = "
                f"\"{config.by}\" and 'data.split.holdout' = {config.holdout}. Use more "
                'text, another share, or by = "tail", which cuts every document.'
            )
    return tally.facts(**sides)


def split_unit(
    number: int, unit: DocumentUnit, config: SplitConfig, limit: int, out: Path
) -> dict[str, Any]:
    """Write both sides of one unit; returns its tally and what each side got."""
    tally = Tally("split")
    train, validation = (DocumentFile(documents_file(out / s, number)) for s in SIDES)
    with train, validation:
        for table in unit.tables():
            tally.take_table(table)
            tally.keep_table(table)
            by_tail = config.by == "tail"
            parts = _tails(table, config) if by_tail else _documents(table, limit)
            for writer, part in zip((train, validation), parts, strict=True):
                writer.write_table(part.filter(pa.array(text_sizes(part) > 0)))
    sides = zip(SIDES, (train, validation), strict=True)
    return {"tally": tally.facts()} | {
        side: {"documents": file.documents, "bytes": file.bytes} for side, file in sides
    }


def _documents(table: pa.Table, limit: int) -> tuple[pa.Table, pa.Table]:
    """Whole documents to one side or the other."""
    aside = np.array([_place(i) < limit for i in table["id"].to_pylist()], bool)
    return table.filter(pa.array(~aside)), table.filter(pa.array(aside))


def _tails(table: pa.Table, config: SplitConfig) -> tuple[pa.Table, pa.Table]:
    """The beginning of each document to one side, its end to the other."""
    heads, tails = [], []
    for text in table["text"].to_pylist():
        cut = int(len(text) * (1 - config.holdout))
        heads.append(text[:cut])
        tails.append(text[cut:])
    column = table.schema.get_field_index("text")
    first, second = (
        table.set_column(column, "text", pa.array(texts, pa.large_string()))
        for texts in (heads, tails)
    )
    return first, second


def _limit(config: SplitConfig, documents: Path) -> int:
    """Documents whose place lies below this are held out: at least one, of two or more."""
    limit = int(config.holdout * 2**64)
    if config.by == "tail":
        return limit
    smallest: list[int] = []
    for table in read_tables(documents, ["id"]):
        places = map(_place, table["id"].to_pylist())
        smallest = heapq.nsmallest(2, [*smallest, *places])
    return max(limit, smallest[0] + 1) if len(smallest) == 2 else limit


def _place(document: str) -> int:
    """Where an id's hash lies in 0 .. 2^64: this alone decides a document's side.

    So it stays on its side however the corpus around it changes.
    """
    return xxhash.xxh3_64_intdigest(document.encode())
