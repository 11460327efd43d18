"""What deduplication leaves behind: the documents that stay, and why the others went.

duplicates.parquet  per document that went: ``doc``, ``kept`` (the id of the one that stands
                    for it), ``run`` (the earlier run that has it, or empty), ``jaccard``,
                    ``exact``, ``cluster`` and ``cluster_size``
clusters.parquet    the groups, largest first, each beginning with the document kept:
                    ``cluster``, ``doc``, ``source``, ``bytes``, ``jaccard``
cuts.parquet        per document that lost passages: ``doc``, the bytes of each kind, and
                    the bytes ``left``
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_sizes
from hornbook.data.dedup.passages import KINDS, Passages
from hornbook.data.dedup.signatures import Signed, id_of
from hornbook.data.documents import Document, DocumentFile, documents_file
from hornbook.data.funnel import Tally
from hornbook.data.parquet import parquet_writer
from hornbook.data.units import DocumentUnit, join_numbers, pass_over, write_numbers


@dataclass
class Duplicates:
    """For each document the kept one that stands for it (itself when it is kept)."""

    kept: np.ndarray  # (n,) int64
    similarity: np.ndarray  # (n,) float64, Jaccard of the shingle sets
    exact: np.ndarray  # (n,) bool: the same bytes as a better one
    ids: np.ndarray  # of this run's documents, and after them those of earlier runs

    @property
    def stays(self) -> np.ndarray:
        """Which documents are kept."""
        return self.kept == np.arange(len(self.kept))


class Writer:
    """Writes the documents that stay, without the passages that are cut."""

    def __init__(
        self, duplicates: Duplicates, passages: Passages | None, min_left: int
    ) -> None:
        self._duplicates, self._passages = duplicates, passages
        self._min_left = min_left
        self.written = duplicates.stays  # without those of which too little is left

    def write(
        self, documents: Path, out: Path, progress: Progress, *settings: Any
    ) -> dict[str, Any]:
        """One pass over ``documents``, by units; returns the funnel facts.

        ``settings`` is what the duplicates were found with.
        """
        tally, done = Tally("dedup"), 0
        work = partial(self._write_unit, out)
        for facts in pass_over(work, documents, out, progress, *settings):
            tally.add(facts["tally"])
            self.written[facts["too_short"]] = False
            done += 1
        join_numbers(out, done, "cuts.parquet")
        cuts = pq.read_table(out / "cuts.parquet").sort_by("doc")
        with parquet_writer(out / "cuts.parquet", cuts.schema) as writer:
            writer.write_table(cuts)
        return tally.facts(cut_bytes={k: _sum(cuts, k) for k in KINDS})

    def _write_unit(self, out: Path, number: int, unit: DocumentUnit) -> dict[str, Any]:
        """The documents of one unit that stay; which others were cut too short."""
        tally, start = Tally("dedup"), unit.first
        cuts, too_short = [_cuts([], {}, [])], []
        with DocumentFile(documents_file(out, number)) as writer:
            for table in unit.tables():
                here = np.arange(start, start + table.num_rows)
                stays = self.written[here]
                tally.take_table(table)
                for row in np.flatnonzero(~stays).tolist():
                    self._drop_duplicate(tally, table, row, start + row)
                left = table.filter(pa.array(stays))
                if self._passages:
                    left, cut, short = self._cut(tally, left, here[stays])
                    cuts.append(cut)
                    too_short += short
                tally.keep_table(left)
                writer.write_table(left)
                start += table.num_rows
        write_numbers(out, number, [pa.concat_tables(cuts)])
        return {"tally": tally.facts(), "too_short": too_short}

    def _drop_duplicate(self, tally: Tally, table: pa.Table, row: int, d: int) -> None:
        reason = "exact duplicate" if self._duplicates.exact[d] else "near duplicate"
        if tally.needs_example(reason):
            kept = id_of(self._duplicates.ids[self._duplicates.kept[d]])
            note = f"kept {kept}, Jaccard {self._duplicates.similarity[d]:.2f}"
            document = Document(**table.slice(row, 1).to_pylist()[0])
            tally.drop(document, reason, note)
        else:
            size = len(table.column("text")[row].as_buffer())
            tally.count_dropped(reason, size)

    def _cut(
        self, tally: Tally, table: pa.Table, here: np.ndarray
    ) -> tuple[pa.Table, pa.Table, list[int]]:
        """Cut what better documents have; what is then too short goes as a whole.

        Returns what is left, a row for each document that was cut, and the numbers of those
        that went.
        """
        assert self._passages
        texts, lost = self._passages.cut(column_texts(table), here)
        column = table.schema.get_field_index("text")
        table = table.set_column(column, "text", texts)
        sizes, touched = text_sizes(table), sum(lost.values()) > 0
        ids = table.column("id").to_pylist()
        rows = np.flatnonzero(touched)
        lost = {kind: bytes_[rows] for kind, bytes_ in lost.items()}
        cuts = _cuts([ids[row] for row in rows], lost, sizes[rows])
        short = touched & (sizes < self._min_left)
        for row in np.flatnonzero(short).tolist():
            document = Document(**table.slice(row, 1).to_pylist()[0])
            tally.drop(document, "too little left", f"{sizes[row]} bytes")
        return table.filter(pa.array(~short)), cuts, here[short].tolist()


def _cuts(ids: Any, lost: dict[str, np.ndarray], left: Any) -> pa.Table:
    none = np.zeros(len(ids), np.int64)
    columns = {kind: pa.array(lost.get(kind, none), pa.int64()) for kind in KINDS}
    return pa.table(
        {
            "doc": pa.array(ids, pa.string()),
            **columns,
            "left": pa.array(left, pa.int64()),
        }
    )


def _sum(table: pa.Table, column: str) -> int:
    return int(np.sum(table.column(column).to_numpy()))


def write_pairs(
    duplicates: Duplicates, signed: list[Signed], runs: list[str], out: Path
) -> None:
    """Write ``duplicates.parquet`` and ``clusters.parquet``; ``runs`` has one name each."""
    n = len(signed[0].sizes)
    kept = duplicates.kept[:n]
    gone = np.flatnonzero(kept != np.arange(n))
    sizes = np.bincount(kept[gone], minlength=len(duplicates.kept)) + 1
    heads = np.unique(kept[gone])
    # Clusters are numbered from the largest on, equal ones by the id of the kept document.
    heads = heads[np.lexsort((*duplicates.ids[heads].T[::-1], -sizes[heads]))]
    number = np.empty(len(duplicates.kept), np.int64)
    number[heads] = np.arange(len(heads))
    ends = np.cumsum([len(one.sizes) for one in signed])
    run = np.array(["", *runs], object)[np.searchsorted(ends, kept[gone], "right")]
    pairs = pa.table(
        {
            "doc": _ids(duplicates.ids[gone]),
            "kept": _ids(duplicates.ids[kept[gone]]),
            "run": pa.array(run, pa.string()),
            "jaccard": duplicates.similarity[gone],
            "exact": duplicates.exact[gone],
            "cluster": number[kept[gone]],
            "cluster_size": sizes[kept[gone]],
        }
    )
    pq.write_table(pairs.sort_by("doc"), out / "duplicates.parquet", compression="zstd")
    members = np.concatenate([heads, gone])
    sources = [
        name for one in signed for name in np.array([*one.names, ""])[one.sources]
    ]
    clusters = pa.table(
        {
            "cluster": number[np.concatenate([heads, kept[gone]])],
            "doc": _ids(duplicates.ids[members]),
            "source": pa.array([sources[d] for d in members], pa.string()),
            "bytes": np.concatenate([one.sizes for one in signed])[members],
            "jaccard": np.concatenate(
                [np.ones(len(heads)), duplicates.similarity[gone]]
            ),
            "first": np.concatenate([np.zeros(len(heads)), np.ones(len(gone))]),
        }
    )
    order = [(name, "ascending") for name in ("cluster", "first")]
    clusters = clusters.sort_by(
        [*order, ("jaccard", "descending"), ("doc", "ascending")]
    )
    path = out / "clusters.parquet"
    pq.write_table(clusters.drop_columns("first"), path, compression="zstd")


def _ids(numbers: np.ndarray) -> pa.Array:
    return pa.array([id_of(number) for number in numbers], pa.string())
