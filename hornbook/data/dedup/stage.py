"""Removes duplicates: exact ones by hash, near ones by MinHash and a true comparison.

Three passes over the documents, none of which holds their texts in memory: sign them all;
compare the candidates (their shingle sets are in memory); write those that stay.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers, text_sizes
from hornbook.data.config import DedupConfig
from hornbook.data.dedup.clusters import ALONE, keep_best, number_buckets
from hornbook.data.dedup.minhash import band_keys, shingle_sets
from hornbook.data.documents import (
    Document,
    DocumentWriter,
    count_documents,
    read_tables,
)
from hornbook.data.funnel import Tally


@dataclass
class Signed:
    """What the first pass notes about ``n`` documents."""

    ids: np.ndarray  # (n, 2) uint64: the 128 bits of the id
    digests: np.ndarray  # (n, 2) uint64: xxh3_128 of the text
    sizes: np.ndarray  # (n,) int64, bytes
    shingles: np.ndarray  # (n,) int64
    keys: np.ndarray  # (bands, n) uint64


@dataclass
class Duplicates:
    """For each document the kept one that stands for it (itself when it is kept)."""

    kept: np.ndarray  # (n,) int64
    similarity: np.ndarray  # (n,) float64, Jaccard of the shingle sets
    exact: np.ndarray  # (n,) bool: the same bytes as another document


def dedup(config: DedupConfig, documents: Path, out: Path) -> dict[str, Any]:
    """Keep one document of each group of duplicates; returns the funnel facts.

    The longest stays (of equals the one with the smallest id), whatever the order of the
    documents. ``duplicates.parquet`` names for every document that went the kept one, their
    Jaccard similarity, whether they are the same byte for byte, and the size of the group.
    """
    total = count_documents(documents)
    with Progress("dedup", total=3 * total, unit="doc") as progress:
        signed = sign(config, documents, total, progress)
        duplicates = find_duplicates(config, documents, signed, progress)
        tally = _write(documents, out, signed, duplicates, progress)
    _write_pairs(out / "duplicates.parquet", signed, duplicates)
    return tally.facts()


def sign(
    config: DedupConfig, documents: Path, total: int, progress: Progress
) -> Signed:
    """First pass: ids, hashes of the texts, and the band keys of their MinHash signatures."""
    signed = Signed(
        np.empty((total, 2), np.uint64),
        np.empty((total, 2), np.uint64),
        np.empty(total, np.int64),
        np.zeros(total, np.int64),
        np.zeros((config.bands, total), np.uint64),
    )
    start = 0
    for table in read_tables(documents, ["id", "text"]):
        here = slice(start, start + table.num_rows)
        buffer, offsets = text_buffers(column_texts(table))
        signed.ids[here] = _numbers("".join(table.column("id").to_pylist()))
        signed.digests[here] = text_digests(buffer, offsets)
        signed.sizes[here] = np.diff(offsets)
        if config.enabled:
            signed.keys[:, here], signed.shingles[here] = band_keys(
                buffer, offsets, config.ngram, config.bands, config.rows
            )
        start += table.num_rows
        progress.advance(table.num_rows)
    return signed


def text_digests(buffer: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """xxh3_128 of each text, ``(texts, 2)`` uint64."""
    view = buffer.data
    digest = xxhash.xxh3_128_hexdigest
    return _numbers("".join([digest(view[a:b]) for a, b in pairwise(offsets.tolist())]))


def _numbers(hexadecimal: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(hexadecimal), ">u8").reshape(-1, 2)


def find_duplicates(
    config: DedupConfig, documents: Path, signed: Signed, progress: Progress
) -> Duplicates:
    """Who stands for whom: exact copies first, then what is similar enough to a kept one."""
    total = len(signed.sizes)
    kept, similarity = np.arange(total), np.ones(total)
    if not config.enabled:
        return Duplicates(kept, similarity, np.zeros(total, bool))
    order = np.lexsort((signed.ids[:, 1], signed.ids[:, 0], -signed.sizes))
    first = first_copies(signed.digests, order)
    unique = first == np.arange(total)
    keys, threshold = signed.keys, config.threshold
    n_buckets = number_buckets(keys, unique & (signed.shingles > 0))
    ranked = order[(keys != ALONE).any(axis=0)[order]]
    sets, ends = _sets(config, documents, ranked, progress)
    keep_best(ranked, keys, n_buckets, sets, ends, threshold, kept, similarity)
    return Duplicates(kept[first], similarity[first], ~unique)


def first_copies(digests: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each document the best ranked one with the same digest."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    by_digest = np.lexsort((rank, digests[:, 1], digests[:, 0]))
    values = digests[by_digest]
    new = np.ones(len(values), bool)
    new[1:] = (values[1:] != values[:-1]).any(axis=1)
    first = np.empty(len(order), np.int64)
    first[by_digest] = by_digest[np.flatnonzero(new)][np.cumsum(new) - 1]
    return first


def _sets(
    config: DedupConfig, documents: Path, ranked: np.ndarray, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Second pass: the shingle sets of ``ranked`` end to end, and where each one ends."""
    place = {int(document): rank for rank, document in enumerate(ranked)}
    sets: list[np.ndarray] = [np.zeros(0, np.uint32)] * len(ranked)
    start = 0
    for table in read_tables(documents, ["text"]):
        here = range(start, start + table.num_rows)
        wanted = [d - start for d in here if d in place]
        if wanted:
            buffer, offsets = text_buffers(column_texts(table))
            found = shingle_sets(buffer, offsets, np.array(wanted), config.ngram)
            for d, members in zip(wanted, found, strict=True):
                sets[place[start + d]] = members
        start += table.num_rows
        progress.advance(table.num_rows)
    ends = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([len(members) for members in sets], out=ends[1:])
    return np.concatenate([*sets, np.zeros(0, np.uint32)]), ends


def _write(
    documents: Path,
    out: Path,
    signed: Signed,
    duplicates: Duplicates,
    progress: Progress,
) -> Tally:
    """Third pass: write the documents that stay, count the others."""
    tally = Tally("dedup")
    start = 0
    with DocumentWriter(out) as writer:
        for table in read_tables(documents):
            here = np.arange(start, start + table.num_rows)
            stays = duplicates.kept[here] == here
            sizes = text_sizes(table)
            tally.take(table.num_rows, int(sizes.sum()))
            tally.keep(int(stays.sum()), int(sizes[stays].sum()))
            writer.write_table(table.filter(pa.array(stays)))
            for row in np.flatnonzero(~stays).tolist():
                _count(table, row, start + row, signed, duplicates, tally)
            start += table.num_rows
            progress.advance(table.num_rows)
    return tally


def _count(
    table: pa.Table,
    row: int,
    d: int,
    signed: Signed,
    duplicates: Duplicates,
    tally: Tally,
) -> None:
    reason = "exact duplicate" if duplicates.exact[d] else "near duplicate"
    if tally.needs_example(reason):
        kept = _hexadecimal(signed.ids[duplicates.kept[d]])
        note = f"kept {kept}, Jaccard {duplicates.similarity[d]:.2f}"
        tally.drop(Document(**table.slice(row, 1).to_pylist()[0]), reason, note)
    else:
        tally.count_dropped(reason, int(signed.sizes[d]))


def _hexadecimal(number: np.ndarray) -> str:
    return f"{int(number[0]):016x}{int(number[1]):016x}"


def _write_pairs(path: Path, signed: Signed, duplicates: Duplicates) -> None:
    gone = np.flatnonzero(duplicates.kept != np.arange(len(duplicates.kept)))
    kept = duplicates.kept[gone]
    sizes = np.bincount(duplicates.kept, minlength=1)[kept]
    table = pa.table(
        {
            "doc": pa.array([_hexadecimal(signed.ids[d]) for d in gone], pa.string()),
            "kept": pa.array([_hexadecimal(signed.ids[d]) for d in kept], pa.string()),
            "jaccard": duplicates.similarity[gone],
            "exact": duplicates.exact[gone],
            "cluster_size": sizes.astype(np.int64),
        }
    )
    pq.write_table(table.sort_by("doc"), path, compression="zstd")
