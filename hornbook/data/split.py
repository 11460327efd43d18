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
from hornbook.data.documents import DocumentWriter, count_documents, read_tables
from hornbook.data.funnel import Tally


def split(config: SplitConfig, documents: Path, out: Path) -> dict[str, Any]:
    """Write ``out/train`` and ``out/validation``; returns the funnel facts.

    Raises :class:`UserError` when either would be empty.
    """
    tally = Tally("split")
    total = count_documents(documents)
    limit = _limit(config, documents)
    with (
        DocumentWriter(out / "train") as train,
        DocumentWriter(out / "validation") as validation,
        Progress("split", total=total, unit="doc") as progress,
    ):
        for table in read_tables(documents):
            by_document = config.by == "document"
            sides = _by_hash(table, limit) if by_document else _tails(table, config)
            train.write_table(sides[0])
            validation.write_table(sides[1])
            size = int(text_sizes(table).sum())
            tally.take(table.num_rows, size)
            tally.keep(table.num_rows, size)
            progress.advance(table.num_rows)
    sides = {"train": train, "validation": validation}
    for name, writer in sides.items():
        if not writer.bytes:
            raise UserError(
                f"The {name} set is empty: {total} documents, 'data.split.by' = "
                f"\"{config.by}\" and 'data.split.holdout' = {config.holdout}. Use more "
                'text, another share, or by = "tail", which cuts every document.'
            )
    return tally.facts(
        **{
            name: {"documents": writer.documents, "bytes": writer.bytes}
            for name, writer in sides.items()
        }
    )


def _by_hash(table: pa.Table, limit: int) -> tuple[pa.Table, pa.Table]:
    held_out = np.array([_place(i) < limit for i in table["id"].to_pylist()], bool)
    return table.filter(pa.array(~held_out)), table.filter(pa.array(held_out))


def _tails(table: pa.Table, config: SplitConfig) -> tuple[pa.Table, pa.Table]:
    """Every document cut in two; a part without text is left out."""
    texts = table["text"].to_pylist()
    cuts = [int(len(text) * (1 - config.holdout)) for text in texts]
    heads = [text[:cut] for text, cut in zip(texts, cuts, strict=True)]
    tails = [text[cut:] for text, cut in zip(texts, cuts, strict=True)]
    return _with_texts(table, heads), _with_texts(table, tails)


def _with_texts(table: pa.Table, texts: list[str]) -> pa.Table:
    column = table.schema.get_field_index("text")
    table = table.set_column(column, "text", pa.array(texts, pa.large_string()))
    return table.filter(pa.array([bool(text) for text in texts], pa.bool_()))


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
