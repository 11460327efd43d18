"""A classifier of one's own from labelled texts, and a card that says how good it is.

A fifth of the texts, chosen by the hash of each, is never trained on: the card's numbers are
measured there. Equal texts always fall on the same side.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from hornbook.core.errors import UserError
from hornbook.core.files import sha256
from hornbook.data.classify.classifier import Classifier, auc, train
from hornbook.data.read.compressed import BrokenStream, open_stream

HELD_OUT = 5  # every fifth hash
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
YES = {"1", "true", "yes"}
NO = {"0", "false", "no"}


def train_classifier(
    labelled: Path, out: Path, positive: str = "", seed: int = 1, epochs: int = 12
) -> dict[str, Any]:
    """Learn from ``labelled`` (see :func:`read_labelled`), save to ``out``, give the card.

    Raises :class:`UserError` for a file that holds too little, or labels of one kind.
    """
    texts, labels = read_labelled(labelled, positive)
    held = np.array([held_out(text) for text in texts], bool)
    if not 0 < labels[held].sum() < held.sum():
        raise UserError(
            f"{labelled} is too small: the held-out fifth of its {len(texts)} texts has "
            "labels of one kind. Give more texts."
        )
    used = np.flatnonzero(~held)
    model = train([texts[i] for i in used], labels[used], seed, epochs)
    column = pa.array([texts[i] for i in np.flatnonzero(held)], pa.large_string())
    card = {
        "what": f"The chance that a text is {positive or 'labelled 1'}.",
        "data": labelled.name,
        "data_sha256": sha256(labelled),
        "texts": len(texts),
        "positive": int(labels.sum()),
        "held_out": int(held.sum()),
        "seed": seed,
        "epochs": epochs,
        "calibration": "Platt scaling on a tenth of what was trained on",
        "measured": measure(model.score(column), labels[held]),
    }
    model.card.update(card)
    model.save(out)
    return card


def held_out(text: str) -> bool:
    """Whether a text is for measuring, by its hash."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace")) % HELD_OUT == 0


def measure(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """How good ``scores`` are: ROC-AUC with its 95 % interval, calibration, thresholds."""
    area = auc(scores, labels)
    low, high = auc_interval(area, int(labels.sum()), int((1 - labels).sum()))
    return {
        "auc": round(area, 4),
        "auc_interval_95": [round(low, 4), round(high, 4)],
        "calibration_error": round(calibration_error(scores, labels), 4),
        "thresholds": [_at(threshold, scores, labels) for threshold in THRESHOLDS],
    }


def auc_interval(area: float, n_positive: int, n_negative: int) -> tuple[float, float]:
    """The 95 % interval of an area under the ROC curve (Hanley and McNeil 1982)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area)
        + (n_positive - 1) * (q1 - area**2)
        + (n_negative - 1) * (q2 - area**2)
    ) / (n_positive * n_negative)
    margin = 1.96 * max(variance, 0.0) ** 0.5
    return max(area - margin, 0.0), min(area + margin, 1.0)


def calibration_error(scores: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """How far scores lie from the share of positives, on average over ``bins`` of scores."""
    which = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        abs(scores[which == b].mean() - labels[which == b].mean()) * (which == b).mean()
        for b in np.unique(which)
    ]
    return float(sum(gaps))


def _at(threshold: float, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    above, positive = scores > threshold, labels == 1
    return {
        "score_above": threshold,
        "texts": round(float(above.mean()), 4),
        "precision": round(float(positive[above].mean()) if above.any() else 1.0, 4),
        "recall": round(float(above[positive].mean()), 4),
        "false_alarms": round(float(above[~positive].mean()), 4),
    }


def read_labelled(path: Path, positive: str = "") -> tuple[list[str], np.ndarray]:
    """The texts of a .jsonl or .csv file and their labels, 0 or 1, float64.

    Each record has ``text`` and ``label``: 0 and 1, or true and false; or anything, with
    ``positive`` the label that means 1. Raises :class:`UserError` naming file and record.
    """
    texts, labels = [], []
    for number, record in read_records(path):
        if not isinstance(record.get("text"), str) or record.get("label") is None:
            raise UserError(f"{path} record {number} has no 'text' and 'label'.")
        label = str(record["label"]).strip().lower()
        if positive:
            labels.append(float(label == positive.strip().lower()))
        elif label in YES | NO:
            labels.append(float(label in YES))
        else:
            raise UserError(
                f"{path} record {number}: the label '{record['label']}' is neither 0 nor "
                "1; say with --positive which label means 1."
            )
        texts.append(record["text"])
    return texts, np.array(labels)


def read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """``(number, record)`` of a .jsonl or .csv file, compressed or not."""
    kinds = {".jsonl": _json_lines, ".csv": _csv_rows}
    read = next((kinds[s] for s in reversed(path.suffixes) if s in kinds), None)
    if read is None:
        raise UserError(f"{path}: labelled texts come as .jsonl or .csv.")
    try:
        with open(path, "rb") as handle:
            yield from read(path, open_stream(handle))
    except (OSError, BrokenStream) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read ({why}).") from None


def _json_lines(path: Path, stream: io.BufferedIOBase) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            record = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path} line {number} is not valid JSON: {error}."
            ) from None
        if not isinstance(record, dict):
            raise UserError(f"{path} line {number} is not a record of keys and values.")
        yield number, record


def _csv_rows(path: Path, stream: io.BufferedIOBase) -> Iterator[tuple[int, dict]]:
    rows = io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")  # type: ignore[arg-type]
    try:
        yield from enumerate(csv.DictReader(rows), start=1)
    except csv.Error as error:
        raise UserError(f"{path} is not valid CSV ({error}).") from None


def score_file(
    model: str, path: Path, batch: int = 2000
) -> Iterator[tuple[int, float, str]]:
    """``(record, score, text)`` for every text of a .jsonl or .csv file."""
    classifier = Classifier.load(model)
    numbers: list[int] = []
    texts: list[str] = []
    for number, record in read_records(path):
        if not isinstance(record.get("text"), str):
            raise UserError(f"{path} record {number} has no 'text'.")
        numbers.append(number)
        texts.append(record["text"])
        if len(texts) >= batch:
            yield from _scored(classifier, numbers, texts)
            numbers, texts = [], []
    yield from _scored(classifier, numbers, texts)


def _scored(
    classifier: Classifier, numbers: list[int], texts: list[str]
) -> Iterator[tuple[int, float, str]]:
    scores = classifier.score(pa.array(texts, pa.large_string())).tolist()
    yield from zip(numbers, scores, texts, strict=True)
