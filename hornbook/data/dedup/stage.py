"""Removes duplicates: exact ones by hash, near ones by MinHash and a true comparison.

Passes over the documents, none of which holds their texts in memory: sign them all; read
the candidates once more to compare them; where asked, look for repeated passages; write
what stays. Earlier runs given in ``against`` take part as documents that stay anyway.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.core.files import fresh_directory
from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers
from hornbook.data.config import DedupConfig
from hornbook.data.dedup.clusters import keep_best
from hornbook.data.dedup.groups import find_groups
from hornbook.data.dedup.passages import KINDS, Passages
from hornbook.data.dedup.presets import Lsh, lsh
from hornbook.data.dedup.ranking import first_copies, rank, ranks_of
from hornbook.data.dedup.results import Duplicates, Writer, write_pairs
from hornbook.data.dedup.sets import ShingleSets
from hornbook.data.dedup.signatures import Signed, documents_of, earlier, save, sign
from hornbook.data.documents import count_documents, read_tables


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
    scratch = fresh_directory(out / "scratch")
    total = count_documents(documents)
    every = sum(map(count_documents, folders))
    with Progress("dedup", total=2 * every + total, unit="doc") as progress:
        signed = [sign(settings, documents, progress, scratch / "keys.npy")]
        for run in config.against:
            keys = scratch / f"keys-{len(signed)}.npy"
            signed.append(earlier(settings, Path(run), progress, keys))
        order = rank(config, signed)
        duplicates = _find(settings, folders, signed, order, scratch, progress)
        passages = None
        if any(getattr(config, kind) for kind in KINDS):
            ranks = np.where(duplicates.stays, ranks_of(order), -1)
            size = sum(int(one.sizes.sum()) for one in signed)
            passages = Passages(config, folders, ranks, size)
        writer = Writer(duplicates, passages, config.min_left)
        facts = writer.write(documents, out, progress)
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
        return Writer(everything, None, 0).write(documents, out, progress)


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
    first = first_copies(np.concatenate([one.digests for one in signed]), order)
    unique = first == kept
    shingles = np.concatenate([one.shingles for one in signed])
    bands = (
        np.concatenate(parts)
        for parts in zip(*(one.keys for one in signed), strict=True)
    )
    groups = find_groups(bands, unique & (shingles > 0))
    ranked = groups.among(order)
    n_fixed = int((ranked >= len(signed[0].sizes)).sum())
    with ShingleSets(scratch / "sets", len(ranked), settings.ngram) as sets:
        _read_sets(folders, ranked, len(order), sets, progress)
        where = sets.members(), sets.starts, sets.sizes
        keep_best(ranked, n_fixed, groups, where, settings.threshold, kept, similarity)
    ids = np.concatenate([one.ids for one in signed])
    return Duplicates(kept[first], similarity[first], ~unique, ids)


def _read_sets(
    folders: list[Path],
    ranked: np.ndarray,
    documents: int,
    sets: ShingleSets,
    progress: Progress,
) -> None:
    """Second pass: the shingle sets of the candidates, numbered by their rank."""
    place = np.full(documents, -1, np.int64)
    place[ranked] = np.arange(len(ranked))
    start = 0
    for folder in folders:
        for table in read_tables(folder, ["text"]):
            here = place[start : start + table.num_rows]
            texts = np.flatnonzero(here >= 0)
            if len(texts):
                sets.add(here[texts], *text_buffers(column_texts(table)), texts)
            start += table.num_rows
            progress.advance(table.num_rows)
