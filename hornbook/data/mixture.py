"""Mixture: how much of each source a model sees."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.arrow import text_sizes
from hornbook.data.config import MixtureConfig
from hornbook.data.documents import DocumentWriter, count_documents, read_tables
from hornbook.data.funnel import Tally


def mix_sources(config: MixtureConfig, documents: Path, out: Path) -> dict[str, Any]:
    """Repeat or thin out each source's documents to reach its share; returns the facts.

    A source seen 2.3 times has all its documents twice and three tenths of them, chosen by
    their ids, once more. The facts hold what was wanted and reached per source.
    """
    sizes = _bytes_per_source(documents)
    epochs = epochs_per_source(config, sizes)
    tally = Tally("mixture")
    reached = dict.fromkeys(sizes, 0)
    with (
        DocumentWriter(out) as writer,
        Progress("mixture", count_documents(documents), "doc") as progress,
    ):
        for table in read_tables(documents):
            ids, sources = table["id"].to_pylist(), table["source"].to_pylist()
            rows = [
                row
                for row, (document, source) in enumerate(zip(ids, sources, strict=True))
                for _ in range(copies(document, epochs[source]))
            ]
            mixed = table.take(pa.array(rows, pa.int64()))
            tally.take(table.num_rows, int(text_sizes(table).sum()))
            for source, size in _sizes(mixed).items():
                reached[source] += size
            tally.keep(mixed.num_rows, sum(_sizes(mixed).values()))
            writer.write_table(mixed)
            progress.advance(table.num_rows)
    total = max(sum(reached.values()), 1)
    return tally.facts(
        mixture={
            source: {
                "epochs": epochs[source],
                "bytes": reached[source],
                "share": reached[source] / total,
            }
            for source in sizes
        }
    )


def epochs_per_source(config: MixtureConfig, sizes: dict[str, int]) -> dict[str, float]:
    """How often each source is seen, so that bytes come out as the weights ask.

    Without weights a source's is its size to the power 1 / temperature, so that a higher
    temperature evens sources out. The total stays what it was, or ``config.bytes``. No source
    is seen more than ``max_epochs`` times: what it lacks then goes to the others.
    """
    unknown = set(config.weights) - set(sizes)
    if unknown:
        raise UserError(
            f"data.mixture.weights names '{sorted(unknown)[0]}', which is no source; there "
            f"are {', '.join(sorted(sizes))}."
        )
    power = 1 / config.temperature
    weights = {
        name: config.weights.get(name, 0.0) if config.weights else float(size) ** power
        for name, size in sizes.items()
    }
    budget = float(config.bytes or sum(sizes.values()))
    epochs = dict.fromkeys(sizes, 0.0)
    open_ = {name for name in sizes if weights[name] > 0 and sizes[name]}
    while open_:
        total = sum(weights[name] for name in open_)
        wanted = {n: budget * weights[n] / total / sizes[n] for n in open_}
        capped = {n for n in open_ if wanted[n] > config.max_epochs}
        for name in capped or open_:
            epochs[name] = min(wanted[name], config.max_epochs)
        if not capped:
            break
        budget -= sum(config.max_epochs * sizes[name] for name in capped)
        open_ -= capped
    return epochs


def copies(document: str, epochs: float) -> int:
    """How many times a document is seen: the whole epochs, and by its id one more."""
    whole = int(epochs)
    chance = xxhash.xxh3_64_intdigest(f"mixture {document}".encode()) / 2**64
    return whole + (chance < epochs - whole)


def _bytes_per_source(documents: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for table in read_tables(documents, ["source", "text"]):
        for source, size in _sizes(table).items():
            sizes[source] = sizes.get(source, 0) + size
    return dict(sorted(sizes.items()))


def _sizes(table: pa.Table) -> dict[str, int]:
    if not table.num_rows:
        return {}
    columns = {"source": table["source"], "size": text_sizes(table)}
    groups = pa.table(columns).group_by("source").aggregate([("size", "sum")])
    return dict(
        zip(groups["source"].to_pylist(), groups["size_sum"].to_pylist(), strict=True)
    )
