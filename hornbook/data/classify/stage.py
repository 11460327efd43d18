"""The stage that scores every document with a classifier and drops what it says is bad."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_sizes
from hornbook.data.classify.classifier import Classifier
from hornbook.data.config import ClassifyConfig
from hornbook.data.documents import (
    Document,
    DocumentWriter,
    count_documents,
    read_tables,
)
from hornbook.data.funnel import Tally


def classify(
    config: ClassifyConfig | tuple[ClassifyConfig, ...], documents: Path, out: Path
) -> dict[str, Any]:
    """Keep documents whose scores lie in the bounds; returns the funnel facts.

    ``statistics.parquet`` holds every document's ``id`` and a score per classifier, under
    the classifier's name. Raises :class:`UserError` for two of one name.
    """
    configs = config if isinstance(config, tuple) else (config,)
    models = {Path(c.model).name: Classifier.load(c.model) for c in configs}
    if len(models) < len(configs):
        raise UserError(
            "data.classify: two classifiers have one name; rename a folder."
        )
    tally = Tally("classify")
    scored: list[pa.Table] = []
    with (
        DocumentWriter(out) as writer,
        Progress("classify", count_documents(documents), "doc") as progress,
    ):
        for table in read_tables(documents):
            texts = column_texts(table)
            scores = {name: model.score(texts) for name, model in models.items()}
            refused = _refused(scores, configs)
            sizes = text_sizes(table)
            kept = table.filter(pa.array(refused < 0))
            tally.take_table(table)
            tally.keep_table(kept)
            writer.write_table(kept)
            scored.append(pa.table({"id": table["id"], **scores}))
            _count(table, scores, refused, sizes, tally)
            progress.advance(table.num_rows)
    if scored:
        pq.write_table(pa.concat_tables(scored), out / "statistics.parquet")
    return tally.facts()


def _refused(
    scores: dict[str, np.ndarray], configs: tuple[ClassifyConfig, ...]
) -> np.ndarray:
    """Per document the number of the first classifier that refuses it, or -1."""
    refused = np.full(len(next(iter(scores.values()))), -1)
    for number, (score, config) in enumerate(
        zip(scores.values(), configs, strict=True)
    ):
        bad = (score < config.min_score) | (score > config.max_score)
        refused[(refused < 0) & bad] = number
    return refused


def _count(
    table: pa.Table,
    scores: dict[str, np.ndarray],
    refused: np.ndarray,
    sizes: np.ndarray,
    tally: Tally,
) -> None:
    names = list(scores)
    for row in np.flatnonzero(refused >= 0).tolist():
        name = names[refused[row]]
        reason = f"{name} score"
        if tally.needs_example(reason):
            document = Document(**table.slice(row, 1).to_pylist()[0])
            tally.drop(document, reason, note=f"score {scores[name][row]:.2f}")
        else:
            tally.count_dropped(reason, int(sizes[row]))
