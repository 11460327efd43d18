"""The stage that scores every document with a classifier and drops what it says is bad."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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


def classify(config: ClassifyConfig, documents: Path, out: Path) -> dict[str, Any]:
    """Keep documents whose score lies in the bounds; returns the funnel facts.

    ``statistics.parquet`` holds every document's ``id`` and ``score``.
    """
    classifier = Classifier.load(config.model)
    name = Path(config.model).name
    tally = Tally("classify")
    scored: list[pa.Table] = []
    with (
        DocumentWriter(out) as writer,
        Progress("classify", count_documents(documents), "doc") as progress,
    ):
        for table in read_tables(documents):
            score = classifier.score(column_texts(table))
            stays = (score >= config.min_score) & (score <= config.max_score)
            sizes = text_sizes(table)
            tally.take(table.num_rows, int(sizes.sum()))
            tally.keep(int(stays.sum()), int(sizes[stays].sum()))
            writer.write_table(table.filter(pa.array(stays)))
            scored.append(pa.table({"id": table["id"], "score": score}))
            for row in np.flatnonzero(~stays).tolist():
                document = Document(**table.slice(row, 1).to_pylist()[0])
                tally.drop(document, f"{name} score", note=f"score {score[row]:.2f}")
            progress.advance(table.num_rows)
    if scored:
        pq.write_table(pa.concat_tables(scored), out / "statistics.parquet")
    return tally.facts()
