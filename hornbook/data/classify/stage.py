"""The stage that scores every document with a classifier and drops what it says is bad."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_sizes
from hornbook.data.classify.classifier import Classifier
from hornbook.data.classify.config import ClassifyConfig
from hornbook.data.documents import (
    Document,
    DocumentFile,
    count_documents,
    documents_file,
)
from hornbook.data.funnel import Tally
from hornbook.data.units import DocumentUnit, join_numbers, pass_over, write_numbers


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

    def work(number: int, unit: DocumentUnit) -> dict[str, Any]:
        return _classify_unit(number, unit, models, configs, out)

    tally = Tally("classify")
    done = 0
    of = configs, [model.digest() for model in models.values()]
    with Progress("classify", count_documents(documents), "doc") as progress:
        for facts in pass_over(work, documents, out, progress, *of):
            tally.add(facts["tally"])
            done += 1
    join_numbers(out, done)
    return tally.facts()


def _classify_unit(
    number: int,
    unit: DocumentUnit,
    models: dict[str, Classifier],
    configs: tuple[ClassifyConfig, ...],
    out: Path,
) -> dict[str, Any]:
    """Score one unit's documents; write those that stay, and all scores."""
    tally = Tally("classify")
    scored: list[pa.Table] = []
    with DocumentFile(documents_file(out, number)) as writer:
        for table in unit.tables():
            texts = column_texts(table)
            scores = {name: model.score(texts) for name, model in models.items()}
            refused = _refused(scores, configs)
            kept = table.filter(pa.array(refused < 0))
            tally.take_table(table)
            tally.keep_table(kept)
            writer.write_table(kept)
            scored.append(pa.table({"id": table["id"], **scores}))
            _count(table, scores, refused, tally)
    write_numbers(out, number, scored)
    return {"tally": tally.facts()}


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
    tally: Tally,
) -> None:
    names, sizes = list(scores), text_sizes(table)
    for row in np.flatnonzero(refused >= 0).tolist():
        name = names[refused[row]]
        reason = f"{name} score"
        if tally.needs_example(reason):
            document = Document(**table.slice(row, 1).to_pylist()[0])
            tally.drop(document, reason, note=f"score {scores[name][row]:.2f}")
        else:
            tally.count_dropped(reason, int(sizes[row]))
