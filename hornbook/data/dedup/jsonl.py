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
from hornbook.data.config import DedupConfig
from hornbook.data.dedup.clusters import ALONE, keep_best, number_buckets
from hornbook.data.dedup.minhash import band_keys, shingle_sets
from hornbook.data.dedup.stage import first_copies, text_digests

BATCH_BYTES = 8 << 20


class _Record(msgspec.Struct):
    text: str


def dedup_jsonl(config: DedupConfig, source: Path, target: Path) -> dict[str, Any]:
    """Copy the records of ``source`` that are no duplicates to ``target``, byte for byte.

    Each record is an object with a string ``text``. Memory holds the records' keys and the
    shingle sets of candidates, not the texts. Returns ``documents_in`` and
    ``documents_out``. Raises :class:`UserError` that names a line that cannot be read.
    """
    notes: list[tuple[np.ndarray, ...]] = []
    with Progress("dedup", total=source.stat().st_size, unit="B") as progress:
        for texts, places in _batches(source):
            buffer, offsets = text_buffers(texts)
            found = band_keys(buffer, offsets, config.ngram, config.bands, config.rows)
            notes.append(
                (*found, text_digests(buffer, offsets), np.diff(offsets), places)
            )
            progress.advance(int(places[:, 1].sum()))
    if not notes:
        raise UserError(f"{source} holds no records.")
    keys, shingles, digests, lengths, places = (
        np.concatenate(column, axis=column[0].ndim - 1 if number == 0 else 0)
        for number, column in enumerate(zip(*notes, strict=True))
    )
    order = np.lexsort((digests[:, 1], digests[:, 0], -lengths))
    kept = np.arange(len(order))
    first = first_copies(digests, order)
    n_buckets = number_buckets(keys, (first == kept) & (shingles > 0))
    ranked = order[(keys != ALONE).any(axis=0)[order]]
    sets, ends = _sets(config, source, places, ranked)
    similarity = np.ones(len(order))
    keep_best(ranked, keys, n_buckets, sets, ends, config.threshold, kept, similarity)
    stays = kept[first] == np.arange(len(order))
    _copy(source, target, places[stays])
    return {"documents_in": len(kept), "documents_out": int(stays.sum())}


def _batches(source: Path) -> Iterator[tuple[pa.LargeStringArray, np.ndarray]]:
    """The texts of some records, and where their lines are: ``(records, 2)`` start, size."""
    decode = msgspec.json.Decoder(_Record).decode
    texts: list[str] = []
    places: list[tuple[int, int]] = []
    at = size = 0
    with open(source, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.isspace():
                try:
                    texts.append(decode(line).text)
                except msgspec.DecodeError as error:
                    raise UserError(f"{source} line {number}: {error}.") from None
                places.append((at, len(line)))
            at += len(line)
            size += len(line)
            if size >= BATCH_BYTES and texts:
                yield pa.array(texts, pa.large_string()), np.array(places)
                texts, places, size = [], [], 0
    if texts:
        yield pa.array(texts, pa.large_string()), np.array(places)


def _sets(
    config: DedupConfig, source: Path, places: np.ndarray, ranked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The shingle sets of the candidates end to end, best first, and where each one ends."""
    decode = msgspec.json.Decoder(_Record).decode
    sets: list[np.ndarray] = [np.zeros(0, np.uint32)] * len(ranked)
    in_file = np.argsort(ranked)  # their ranks, in the order of the file
    with open(source, "rb") as file:
        for some in np.array_split(in_file, len(in_file) // 1000 + 1):
            texts = []
            for rank in some:
                start, size = places[ranked[rank]].tolist()
                file.seek(start)
                texts.append(decode(file.read(size)).text)
            buffer, offsets = text_buffers(pa.array(texts, pa.large_string()))
            found = shingle_sets(buffer, offsets, np.arange(len(texts)), config.ngram)
            for rank, members in zip(some, found, strict=True):
                sets[rank] = members
    ends = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([len(members) for members in sets], out=ends[1:])
    return np.concatenate([*sets, np.zeros(0, np.uint32)]), ends


def _copy(source: Path, target: Path, places: np.ndarray) -> None:
    """Copy the lines at ``places``; neighbours in one go."""
    starts, sizes = places[:, 0], places[:, 1]
    joins = np.flatnonzero(starts[1:] != starts[:-1] + sizes[:-1]) + 1
    with open(source, "rb") as lines, atomic_file(target) as out:
        for run in np.split(np.arange(len(starts)), joins):
            if not len(run):
                continue
            at = int(starts[run[0]])
            end = int(starts[run[-1]] + sizes[run[-1]])
            lines.seek(at)
            last = b"\n"
            while at < end and (block := lines.read(min(BATCH_BYTES, end - at))):
                out.write(block)
                last = block[-1:]
                at += len(block)
            if last != b"\n":  # the last line of a file may lack its end
                out.write(b"\n")
