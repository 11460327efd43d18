"""Which items of a benchmark the model may have read in training, and what that is worth.

An item counts as read when training text holds 13 of its words in a row (Brown et al. 2020,
appendix C). Nothing is taken away from the result; the clean and the dirty part stand
beside it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hornbook.data.decontaminate import shares_seen
from hornbook.evaluate.examples import Example
from hornbook.evaluate.notes import Record
from hornbook.evaluate.results import Result
from hornbook.evaluate.summary import summarize
from hornbook.evaluate.task import TaskConfig

NGRAM = 13  # words


def contaminated(examples: list[Example], training: Path) -> dict[str, float]:
    """By its number, the share of each item's runs of words that ``training`` holds, if any."""
    texts = ["\n".join(_strings(example.record["record"])) for example in examples]
    shares = shares_seen(texts, training, NGRAM).tolist()
    return {
        str(example.number): share
        for example, share in zip(examples, shares, strict=True)
        if share
    }


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def clean_and_dirty(
    task: TaskConfig, records: list[Record], held: dict[str, float]
) -> list[Result]:
    """The main metric of the items that training did not hold, and of those it did."""
    parts = {
        "items not in the training text": [
            r for r in records if str(r.number) not in held
        ],
        "items in the training text": [r for r in records if str(r.number) in held],
    }
    return [summarize(task, part, note)[0] for note, part in parts.items() if part]
