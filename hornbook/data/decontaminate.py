"""Removes documents that hold pieces of the benchmarks a model will be measured on.

A document that shares a run of 13 words with a benchmark item (Brown et al. 2020, appendix
C) goes, and ``contaminated.parquet`` says which item it was.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers, text_sizes
from hornbook.data.config import DecontaminateConfig
from hornbook.data.documents import (
    Document,
    DocumentWriter,
    count_documents,
    read_tables,
)
from hornbook.data.funnel import Tally
from hornbook.data.read.compressed import open_stream
from hornbook.data.shingles import shingle_hashes, word_tables


def decontaminate(
    config: DecontaminateConfig, documents: Path, out: Path
) -> dict[str, Any]:
    """Drop what overlaps with ``config.benchmarks``; returns the funnel facts.

    Raises :class:`UserError` for a benchmark file that is missing or holds no text.
    """
    names, items = _items(config.benchmarks)
    table, owners, short = index_items(items, config.ngram)
    tally = Tally("decontaminate")
    hits: list[dict[str, Any]] = []
    with (
        DocumentWriter(out) as writer,
        Progress("decontaminate", count_documents(documents), "doc") as progress,
    ):
        for batch in read_tables(documents):
            buffer, offsets = text_buffers(column_texts(batch))
            item, shared = find_overlaps(buffer, offsets, config.ngram, table, owners)
            clean = shared == 0
            sizes = text_sizes(batch)
            tally.take(batch.num_rows, int(sizes.sum()))
            tally.keep(int(clean.sum()), int(sizes[clean].sum()))
            writer.write_table(batch.filter(pa.array(clean)))
            for row in np.flatnonzero(~clean).tolist():
                document = Document(**batch.slice(row, 1).to_pylist()[0])
                name = names[item[row]]
                tally.drop(document, "holds benchmark text", note=name)
                hits.append(
                    {"doc": document.id, "item": name, "ngrams": int(shared[row])}
                )
            progress.advance(batch.num_rows)
    columns = pa.schema(
        [("doc", pa.string()), ("item", pa.string()), ("ngrams", pa.int64())]
    )
    pq.write_table(pa.Table.from_pylist(hits, columns), out / "contaminated.parquet")
    return tally.facts(
        items=len(items),
        items_too_short=short,
        items_hit=len({h["item"] for h in hits}),
    )


def _items(paths: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """``(file:line, text)`` of every item of every benchmark file."""
    names, items = [], []
    for path in paths:
        before = len(items)
        for number, text in _read_items(Path(path)):
            names.append(f"{Path(path).name}:{number}")
            items.append(text)
        if len(items) == before:
            raise UserError(f"data.decontaminate.benchmarks: {path} holds no text.")
    return names, items


def _read_items(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file; of a .jsonl file all strings of each record, joined."""
    try:
        with open(path, "rb") as handle:
            for number, line in enumerate(open_stream(handle), start=1):
                if ".jsonl" in path.suffixes:
                    text = "\n".join(_strings(_record(line, path, number)))
                else:
                    text = line.decode("utf-8", "replace").strip()
                if text:
                    yield number, text
    except OSError as error:
        raise UserError(
            f"data.decontaminate.benchmarks: {path} cannot be read ({error.strerror})."
        ) from None


def _record(line: bytes, path: Path, number: int) -> Any:
    try:
        return msgspec.json.decode(line) if line.strip() else None
    except msgspec.DecodeError as error:
        raise UserError(f"{path} line {number} is not valid JSON: {error}.") from None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def index_items(items: list[str], ngram: int) -> tuple[np.ndarray, np.ndarray, int]:
    """A hash table of all n-grams of the items: ``(keys, the item of each, too short)``."""
    buffer, offsets = text_buffers(pa.array(items, pa.large_string()))
    size = 16
    while size < 2 * (int(offsets[-1]) // 2 + 1):
        size *= 2
    keys, owners = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    short = _fill(buffer, offsets, *word_tables(), ngram, keys, owners)
    return keys, owners, short


def find_overlaps(
    buffer: np.ndarray,
    offsets: np.ndarray,
    ngram: int,
    keys: np.ndarray,
    owners: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Per text the first item that it shares an n-gram with, and how many it shares."""
    item = np.zeros(offsets.size - 1, np.int64)
    shared = np.zeros(offsets.size - 1, np.int64)
    _search(buffer, offsets, *word_tables(), ngram, keys, owners, item, shared)
    return item, shared


@njit(nogil=True, cache=True)
def _slot(keys, key):
    mask = np.uint64(keys.size - 1)
    at = (key >> np.uint64(32)) & mask
    while keys[at] != 0 and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    return at


@njit(nogil=True, cache=True)
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
            at = _slot(keys, key)
            if keys[at] == 0:
                keys[at] = key
                owners[at] = d
    return short


@njit(nogil=True, cache=True)
def _search(buffer, offsets, role, folded, n, keys, owners, item, shared):
    ring = np.zeros(n, np.uint64)
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    out = np.empty(longest // 2 + 1, np.uint64)
    for d in range(offsets.size - 1):
        count = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, n, ring, out
        )
        for i in range(count):
            key = out[i] | np.uint64(1)
            at = _slot(keys, key)
            if keys[at] == key:
                if shared[d] == 0:
                    item[d] = owners[at]
                shared[d] += 1
