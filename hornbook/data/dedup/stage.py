"""Removes duplicates: exact ones by hash, near ones by MinHash and a true comparison.

Passes over the documents, none of which holds their texts in memory: sign them all; read
the candidates once more to compare them; where asked, look for repeated passages; write
what stays. Earlier runs given in ``against`` take part as documents that stay anyway.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers
from hornbook.data.dedup.clusters import keep_best
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.earlier_runs import documents_of
from hornbook.data.dedup.groups import find_groups
from hornbook.data.dedup.passages import KINDS, Passages
from hornbook.data.dedup.presets import Lsh, lsh
from hornbook.data.dedup.ranking import first_copies, rank, ranks_of
from hornbook.data.dedup.results import Duplicates, Writer, write_pairs
from hornbook.data.dedup.sets import ShingleSets, flat_sets
from hornbook.data.dedup.signatures import VERSION, Signed, earlier, save, sign
from hornbook.data.documents import count_documents
from hornbook.data.units import THREADS, DocumentUnit, document_units, state_of


def dedup(config: DedupConfig, documents: Path, out: Path) -> dict[str, Any]:
    """Keep one document of each group of duplicates; returns the funnel facts.

    ``config.keep`` says which one; for "longest" and "best-source" neither the order of the
    documents nor the size of the batches can change it. What else lies in ``out`` then:
    :mod:`hornbook.data.dedup.results`, and ``signatures/`` for later runs. Raises
    :class:`UserError` for an earlier run that is not there.
    """
    if not config.enabled:
        return _copy(documents, out)
    settings = lsh(config)
    folders = [documents, *(documents_of(Path(run)) for run in config.against)]
    scratch = out / "scratch"
    total = count_documents(documents)
    every = sum(map(count_documents, folders))
    with Progress("dedup", total=2 * every + total, unit="doc") as progress:
        signed = [sign(settings, documents, progress, scratch / "signed")]
        for number, run in enumerate(config.against):
            folder = scratch / f"signed-{number}"
            signed.append(earlier(settings, Path(run), progress, folder))
        order = rank(config, signed)
        duplicates = _find(settings, folders, signed, order, scratch, progress)
        passages = None
        if any(getattr(config, kind) for kind in KINDS):
            ranks = np.where(duplicates.stays, ranks_of(order), -1)
            size = sum(int(one.sizes.sum()) for one in signed)
            passages = Passages(config, folders, ranks, size)
        writer = Writer(duplicates, passages, config.min_left)
        states = [state_of(folder) for folder in folders]
        facts = writer.write(documents, out, progress, VERSION, config, states)
    write_pairs(duplicates, signed, list(config.against), out)
    written = np.flatnonzero(writer.written[:total])
    save(signed[0], settings, written, out / "signatures")
    shutil.rmtree(scratch)
    return facts


def _copy(documents: Path, out: Path) -> dict[str, Any]:
    """Everything stays: the stage is switched off."""
    total = count_documents(documents)
    everything = Duplicates(
        np.arange(total), np.ones(total), np.zeros(total, bool), np.zeros((total, 2))
    )
    with Progress("dedup", total=total, unit="doc") as progress:
        return Writer(everything, None, 0).write(documents, out, progress, "off")


def _find(
    settings: Lsh,
    folders: list[Path],
    signed: list[Signed],
    order: np.ndarray,
    scratch: Path,
    progress: Progress,
) -> Duplicates:
    """Who stands for whom: exact copies first, then what is similar enough to a kept one.

    Documents are numbered through all folders, this run's first; ``order`` begins with
    those of earlier runs.
    """
    kept, similarity = np.arange(len(order)), np.ones(len(order))
    first = first_copies(_joined([one.digests for one in signed]), order)
    unique = first == kept
    shingles = _joined([one.shingles for one in signed])
    bands = map(_joined, zip(*(one.keys for one in signed), strict=True))
    groups = find_groups(bands, unique & (shingles > 0))
    ranked = groups.among(order)
    n_fixed = int((ranked >= len(signed[0].sizes)).sum())
    with ShingleSets(scratch / "sets", len(ranked), settings.ngram) as sets:
        _read_sets(folders, ranked, len(order), sets, progress)
        where = sets.members(), sets.starts, sets.sizes
        keep_best(ranked, n_fixed, groups, where, settings.threshold, kept, similarity)
    ids = _joined([one.ids for one in signed])
    return Duplicates(kept[first], similarity[first], ~unique, ids)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays end to end; a single one as it is, for it may be large."""
    return np.asarray(arrays[0]) if len(arrays) == 1 else np.concatenate(arrays)


def _read_sets(
    folders: list[Path],
    ranked: np.ndarray,
    documents: int,
    sets: ShingleSets,
    progress: Progress,
) -> None:
    """Second pass: the shingle sets of the candidates, numbered by their rank."""
    place, ngram = np.full(documents, -1, np.int64), sets.ngram
    place[ranked] = np.arange(len(ranked))

    def work(task: tuple[int, DocumentUnit]) -> tuple[int, np.ndarray, Any]:
        start, unit = task
        table = unit.table(["text"])
        here = place[start + unit.first :][: table.num_rows]
        texts = np.flatnonzero(here >= 0)
        buffers = text_buffers(column_texts(table))
        return table.num_rows, here[texts], flat_sets(*buffers, texts, ngram)

    starts = np.cumsum([0, *map(count_documents, folders)])[:-1].tolist()
    tasks = (
        (start, unit)
        for start, folder in zip(starts, folders, strict=True)
        for unit in document_units(folder)
    )
    for rows, places, found in THREADS(work, tasks):
        sets.add(places, *found)
        progress.advance(rows)
