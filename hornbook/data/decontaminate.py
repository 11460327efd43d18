"""Removes documents that hold pieces of the benchmarks a model will be measured on.

A document that shares a run of 13 words with a benchmark item (Brown et al. 2020, appendix
C) goes, and ``contaminated.parquet`` says which item it was, how much of it the document
holds, and how long the longest shared run is. Runs that very many documents hold, such as
the words of a licence, can be left out of account.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers
from hornbook.data.benchmarks import Item, digest, read_benchmarks
from hornbook.data.config import DecontaminateConfig
from hornbook.data.documents import (
    Document,
    DocumentFile,
    count_documents,
    documents_file,
    read_tables,
)
from hornbook.data.funnel import Tally
from hornbook.data.jit import kernel
from hornbook.data.shingles import shingle_hashes, slot_of, word_tables
from hornbook.data.units import DocumentUnit, pass_over

ITEM_CHARACTERS = 500  # of an item's text beside each document it was found in
LISTED = pa.schema(
    [
        ("doc", pa.string()),
        ("path", pa.string()),
        ("item", pa.string()),
        ("ngrams", pa.int64()),  # different runs of the item that the document holds
        ("share", pa.float64()),  # of the item's runs
        ("longest", pa.int64()),  # words of the longest run shared with any item
        ("item_text", pa.string()),
    ]
)


def decontaminate(
    config: DecontaminateConfig, documents: Path, out: Path
) -> dict[str, Any]:
    """Drop what overlaps with ``config.benchmarks``; returns the funnel facts.

    Raises :class:`UserError` for a benchmark file that is missing or holds no text.
    """
    items = read_benchmarks(config.benchmarks, config.benchmarks_folder)
    index = Index([item.text for item in items], config.ngram)
    common = index.leave_out_common(documents, config.max_documents)

    def work(number: int, unit: DocumentUnit) -> dict[str, Any]:
        return _search_unit(number, unit, items, index, config.min_share, out)

    tally = Tally("decontaminate")
    listed: list[dict[str, Any]] = []
    with Progress("decontaminate", count_documents(documents), "doc") as progress:
        for facts in pass_over(work, documents, out, progress, config, digest(items)):
            tally.add(facts["tally"])
            listed += facts["listed"]
    pq.write_table(pa.Table.from_pylist(listed, LISTED), out / "contaminated.parquet")
    return tally.facts(
        items=len(items),
        items_too_short=index.too_short,
        items_hit=len({row["item"] for row in listed}),
        common_ngrams=common,
    )


def _search_unit(
    number: int,
    unit: DocumentUnit,
    items: list[Item],
    index: "Index",
    min_share: float,
    out: Path,
) -> dict[str, Any]:
    """Write one unit's clean documents; returns its tally and a row for each other one."""
    tally = Tally("decontaminate")
    listed: list[dict[str, Any]] = []
    with DocumentFile(documents_file(out, number)) as writer:
        for table in unit.tables():
            found = index.search(column_texts(table), min_share)
            clean = found["ngrams"] == 0
            kept = table.filter(pa.array(clean))
            tally.take_table(table)
            tally.keep_table(kept)
            writer.write_table(kept)
            for row in np.flatnonzero(~clean).tolist():
                document = Document(**table.slice(row, 1).to_pylist()[0])
                item = items[found["item"][row]]
                tally.drop(document, "holds benchmark text", note=item.name)
                listed.append(_listed(document, item, found, row))
    return {"tally": tally.facts(), "listed": listed}


def _listed(
    document: Document, item: Item, found: dict[str, np.ndarray], row: int
) -> dict[str, Any]:
    return {
        "doc": document.id,
        "path": document.path,
        "item": item.name,
        "ngrams": int(found["ngrams"][row]),
        "share": float(found["share"][row]),
        "longest": int(found["longest"][row]),
        "item_text": item.text[:ITEM_CHARACTERS],
    }


class Index:
    """A hash table of all runs of ``ngram`` words of the items."""

    def __init__(self, items: list[str], ngram: int) -> None:
        buffer, offsets = text_buffers(pa.array(items, pa.large_string()))
        size = 16
        while size < 2 * (int(offsets[-1]) // 2 + 1):
            size *= 2
        self.ngram = ngram
        self.keys = np.zeros(size, np.uint64)
        self.owners = np.full(size, -1, np.int64)  # the item of each; -1: left out
        self.too_short = _fill(
            buffer, offsets, *word_tables(), ngram, self.keys, self.owners
        )
        self._owned(len(items))

    def _owned(self, items: int) -> None:
        """How many different runs each item has to itself (those shared are its first's)."""
        counted = np.bincount(self.owners[self.owners >= 0], minlength=items)
        self.owned = np.maximum(counted, 1)

    def leave_out_common(self, documents: Path, most: int) -> int:
        """Forget runs that more than ``most`` documents hold; returns how many those are."""
        if not most:
            return 0
        counts = np.zeros(self.keys.size, np.int64)
        for table in read_tables(documents):
            buffer, offsets = text_buffers(column_texts(table))
            tables = (*word_tables(), self.ngram, self.keys)
            _count_documents(buffer, offsets, *tables, counts)
        common = counts > most
        self.owners[common] = -1
        self._owned(len(self.owned))
        return int(common.sum())

    def search(
        self, texts: pa.LargeStringArray, min_share: float = 0.0
    ) -> dict[str, np.ndarray]:
        """Per text the item it shares most runs with: ``item, ngrams, share, longest``.

        ``ngrams`` is 0 where it shares none, or less than ``min_share`` of any item.
        """
        buffer, offsets = text_buffers(texts)
        found = {
            "item": np.zeros(len(texts), np.int64),
            "ngrams": np.zeros(len(texts), np.int64),
            "share": np.zeros(len(texts)),
            "longest": np.zeros(len(texts), np.int64),
        }
        tables = (*word_tables(), self.ngram, self.keys, self.owners, self.owned)
        _search(buffer, offsets, *tables, min_share, *found.values())
        return found


def shares_seen(texts: list[str], documents: Path, ngram: int) -> np.ndarray:
    """Per text the share of its runs of ``ngram`` words that any of ``documents`` holds.

    0 where a text is shorter than that.
    """
    index = Index(texts, ngram)
    counts = np.zeros(index.keys.size, np.int64)
    with Progress("overlap", count_documents(documents), "doc") as progress:
        for table in read_tables(documents, ["text"]):
            buffer, offsets = text_buffers(column_texts(table))
            runs = (*word_tables(), ngram, index.keys)
            _count_documents(buffer, offsets, *runs, counts)
            progress.advance(table.num_rows)
    buffer, offsets = text_buffers(pa.array(texts, pa.large_string()))
    shares = np.zeros(len(texts))
    _share_counted(buffer, offsets, *word_tables(), ngram, index.keys, counts, shares)
    return shares


@kernel
def _share_counted(buffer, offsets, role, folded, n, keys, counts, shares):
    """The share of each text's runs, repeats too, with a count above 0."""
    ring, out = np.zeros(n, np.uint64), np.empty(_longest(offsets) // 2 + 2, np.uint64)
    for d in range(offsets.size - 1):
        count = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, n, ring, out
        )
        seen = 0
        for i in range(count):
            seen += counts[slot_of(keys, out[i] | np.uint64(1))] > 0
        shares[d] = seen / max(count, 1)


@kernel
def _fill(buffer, offsets, role, folded, n, keys, owners):
    ring = np.zeros(n, np.uint64)
    short = 0
    for d in range(offsets.size - 1):
        out = np.empty(offsets[d + 1] - offsets[d] + 1, np.uint64)
        count = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, n, ring, out
        )
        short += count == 0
        for i in range(count):
            key = out[i] | np.uint64(1)
            at = slot_of(keys, key)
            if keys[at] == 0:
                keys[at] = key
                owners[at] = d
    return short


@kernel
def _longest(offsets):
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    return longest


@kernel
def _count_documents(buffer, offsets, role, folded, n, keys, counts):
    """Add to ``counts`` in how many texts each run of the index stands."""
    ring, out = np.zeros(n, np.uint64), np.empty(_longest(offsets) // 2 + 2, np.uint64)
    last = np.full(keys.size, -1, np.int64)
    for d in range(offsets.size - 1):
        count = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, n, ring, out
        )
        for i in range(count):
            key = out[i] | np.uint64(1)
            at = slot_of(keys, key)
            if keys[at] == key and last[at] != d:
                last[at] = d
                counts[at] += 1


@kernel
def _search(
    buffer, offsets, role, folded, n, keys, owners, owned, min_share,
    item, ngrams, share, longest,
):  # fmt: skip
    ring, out = np.zeros(n, np.uint64), np.empty(_longest(offsets) // 2 + 2, np.uint64)
    last = np.full(keys.size, -1, np.int64)
    shared = np.zeros(owned.size, np.int64)
    touched = np.empty(owned.size, np.int64)
    for d in range(offsets.size - 1):
        count = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, n, ring, out
        )
        run = n_touched = 0
        for i in range(count):
            key = out[i] | np.uint64(1)
            at = slot_of(keys, key)
            if keys[at] != key or owners[at] < 0:
                run = 0
                continue
            run += 1
            longest[d] = max(longest[d], run + n - 1)
            if last[at] != d:
                last[at] = d
                owner = owners[at]
                if shared[owner] == 0:
                    touched[n_touched] = owner
                    n_touched += 1
                shared[owner] += 1
        for t in range(n_touched):
            owner = touched[t]
            part = shared[owner] / owned[owner]
            if part >= min_share and shared[owner] > ngrams[d]:
                item[d], ngrams[d], share[d] = owner, shared[owner], part
            shared[owner] = 0
