"""Near-duplicates of one JSON-lines file, straight into another: no stage, no run."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file
from hornbook.core.progress import Progress
from hornbook.data.dedup.clusters import keep_best
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.groups import find_groups
from hornbook.data.dedup.minhash import band_keys
from hornbook.data.dedup.presets import Lsh, lsh
from hornbook.data.dedup.ranking import first_copies
from hornbook.data.dedup.records import BATCH_BYTES, Reader
from hornbook.data.dedup.sets import ShingleSets, flat_sets
from hornbook.data.dedup.signatures import text_digests

COPY_BYTES = 8 << 20


class Notes(NamedTuple):
    """What is kept in memory of ``n`` records: 56 bytes each, and 8 more per band."""

    keys: np.ndarray  # (bands, n) uint64
    shingles: np.ndarray  # (n,) int64
    digests: np.ndarray  # (n, 2) uint64
    sizes: np.ndarray  # (n,) int64, bytes of the text
    places: np.ndarray  # (n, 2) int64: where the line begins in the file, and its size


def dedup_jsonl(config: DedupConfig, source: Path, target: Path) -> dict[str, Any]:
    """Copy the records of ``source`` that are no duplicates to ``target``, byte for byte.

    Each record is an object with a string ``text``; of alike ones the longest stays. Memory
    holds notes of the records, not the texts. Returns ``documents_in`` and
    ``documents_out``. Raises :class:`UserError` that names a line that cannot be read.
    """
    settings = lsh(config)
    reader = Reader(source)
    notes = _read_notes(settings, reader, source.stat().st_size)
    keys, shingles, digests, sizes, places = notes
    order = np.lexsort((digests[:, 1], digests[:, 0], -sizes))
    kept, similarity = np.arange(len(order)), np.ones(len(order))
    first = first_copies(digests, order)
    groups = find_groups(keys, (first == kept) & (shingles > 0))
    ranked = groups.among(order)
    with (
        tempfile.TemporaryDirectory(dir=target.parent) as scratch,
        ShingleSets(Path(scratch) / "sets", len(ranked), settings.ngram) as sets,
    ):
        _read_sets(reader, places[ranked], sets)
        where = sets.members(), sets.starts, sets.sizes
        keep_best(ranked, 0, groups, where, settings.threshold, kept, similarity)
    stays = kept[first] == np.arange(len(order))
    _copy(source, target, places[stays])
    return {"documents_in": len(kept), "documents_out": int(stays.sum())}


def _read_notes(settings: Lsh, reader: Reader, total: int) -> Notes:
    """First pass: sign all records."""
    batches: list[Notes] = []
    with Progress("dedup", total=total, unit="B") as progress:
        for texts, offsets, places in reader.all():
            keys, shingles = band_keys(
                texts, offsets, settings.ngram, settings.bands, settings.rows
            )
            digests = text_digests(texts, offsets)
            batches.append(Notes(keys, shingles, digests, np.diff(offsets), places))
            progress.advance(int(places[:, 1].sum()))
    if not batches:
        raise UserError(f"{reader.source} holds no records.")
    keys, *others = zip(*batches, strict=True)
    return Notes(np.concatenate(keys, axis=1), *map(np.concatenate, others))


def _read_sets(reader: Reader, places: np.ndarray, sets: ShingleSets) -> None:
    """Second pass: the shingle sets of the records at ``places``, numbered as they come."""
    in_file = np.argsort(places[:, 0])
    batch = np.cumsum(places[in_file, 1]) // BATCH_BYTES
    with open(reader.source, "rb") as file:
        for some in np.split(in_file, np.flatnonzero(np.diff(batch)) + 1):
            if len(some):
                texts, offsets, _ = reader.at(file, places[some])
                sets.add(
                    some, *flat_sets(texts, offsets, np.arange(len(some)), sets.ngram)
                )


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
            while at < end and (block := lines.read(min(COPY_BYTES, end - at))):
                out.write(block)
                last = block[-1:]
                at += len(block)
            if last != b"\n":  # the last line of a file may lack its end
                out.write(b"\n")
