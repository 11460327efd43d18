"""Near-duplicates of one JSON-lines file, straight into another: no stage, no run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file
from hornbook.core.progress import Progress
from hornbook.data.arrow import text_buffers
from hornbook.data.clusters import ALONE, keep_best, number_buckets
from hornbook.data.config import DedupConfig
from hornbook.data.dedup import first_copies, text_digests
from hornbook.data.minhash import band_keys, shingle_sets

BATCH_BYTES = 8 << 20


class _Record(msgspec.Struct):
    text: str


def dedup_jsonl(config: DedupConfig, source: Path, target: Path) -> dict[str, Any]:
    """Copy the records of ``source`` that are no duplicates to ``target``, byte for byte.

    Each record is an object with a string ``text``. Memory holds the records' keys and the
    shingle sets of candidates, not the texts. Returns ``documents_in`` and
    ``documents_out``. Raises :class:`UserError` that names a line that cannot be read.
    """
    size = source.stat().st_size
    with Progress("dedup", total=2 * size, unit="B") as progress:
        keys, shingles, digests, lengths = [], [], [], []
        for _, texts, length in _batches(source):
            buffer, offsets = text_buffers(texts)
            found = band_keys(buffer, offsets, config.ngram, config.bands, config.rows)
            keys.append(found[0])
            shingles.append(found[1])
            digests.append(text_digests(buffer, offsets))
            lengths.append(np.diff(offsets))
            progress.advance(length)
        if not keys:
            raise UserError(f"{source} holds no records.")
        kept = _stand_for(
            config,
            source,
            np.concatenate(keys, axis=1),
            np.concatenate(shingles),
            np.concatenate(digests),
            np.concatenate(lengths),
        )
        stays = kept == np.arange(len(kept))
        with open(source, "rb") as lines, atomic_file(target) as out:
            row = 0
            for line in lines:
                if line.strip():
                    if stays[row]:
                        out.write(line if line.endswith(b"\n") else line + b"\n")
                    row += 1
                progress.advance(len(line))
    return {"documents_in": len(kept), "documents_out": int(stays.sum())}


def _stand_for(
    config: DedupConfig,
    source: Path,
    keys: np.ndarray,
    shingles: np.ndarray,
    digests: np.ndarray,
    lengths: np.ndarray,
) -> np.ndarray:
    """For each record the kept one: the longest, of equals the one of smallest digest."""
    order = np.lexsort((digests[:, 1], digests[:, 0], -lengths))
    first = first_copies(digests, order)
    kept, similarity = np.arange(len(order)), np.ones(len(order))
    n_buckets = number_buckets(keys, (first == kept) & (shingles > 0))
    ranked = order[(keys != ALONE).any(axis=0)[order]]
    rank = np.full(len(order), -1)
    rank[ranked] = np.arange(len(ranked))
    sets: list[np.ndarray] = [np.zeros(0, np.uint32)] * len(ranked)
    for start, texts, _ in _batches(source, wanted=rank >= 0):
        rows = start + np.arange(len(texts))
        wanted = np.flatnonzero(rank[rows] >= 0)
        found = shingle_sets(*text_buffers(texts), wanted, config.ngram)
        for row, members in zip(rows[wanted], found, strict=True):
            sets[rank[row]] = members
    ends = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([len(members) for members in sets], out=ends[1:])
    flat = np.concatenate([*sets, np.zeros(0, np.uint32)])
    keep_best(ranked, keys, n_buckets, flat, ends, config.threshold, kept, similarity)
    return kept[first]


def _batches(
    source: Path, wanted: np.ndarray | None = None
) -> Iterator[tuple[int, pa.LargeStringArray, int]]:
    """``(first record, texts, bytes read)``; texts that are not ``wanted`` are empty."""
    decode = msgspec.json.Decoder(_Record).decode
    texts: list[str] = []
    start = length = 0
    with open(source, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                row = start + len(texts)
                try:
                    text = (
                        ""
                        if wanted is not None and not wanted[row]
                        else decode(line).text
                    )
                except msgspec.DecodeError as error:
                    raise UserError(f"{source} line {number}: {error}.") from None
                texts.append(text)
            length += len(line)
            if length >= BATCH_BYTES:
                yield start, pa.array(texts, pa.large_string()), length
                start, texts, length = start + len(texts), [], 0
    if texts:
        yield start, pa.array(texts, pa.large_string()), length
