"""Sets validation text aside, so that what the model is measured on was never trained on."""

from pathlib import Path
from typing import Any

import xxhash

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.config import SplitConfig
from hornbook.data.documents import (
    Document,
    DocumentWriter,
    count_documents,
    read_documents,
)
from hornbook.data.funnel import Tally


def split(config: SplitConfig, documents: Path, out: Path) -> dict[str, Any]:
    """Write ``out/train`` and ``out/validation``; returns the funnel facts.

    Raises :class:`UserError` when either would be empty.
    """
    tally = Tally("split")
    total = count_documents(documents)
    with (
        DocumentWriter(out / "train") as train,
        DocumentWriter(out / "validation") as validation,
        Progress("split", total=total, unit="doc") as progress,
    ):
        for document in read_documents(documents):
            for writer, part in zip(
                (train, validation), _parts(config, document), strict=True
            ):
                if part:
                    writer.write(
                        Document(document.id, document.source, document.path, part)
                    )
            size = len(document.text.encode())
            tally.take(1, size)
            tally.keep(1, size)
            progress.advance()
    sides = {"train": train, "validation": validation}
    for name, writer in sides.items():
        if not writer.bytes:
            raise UserError(
                f"The {name} set is empty: {total} documents, 'data.split.by' = "
                f"\"{config.by}\" and 'data.split.holdout' = {config.holdout}. Use more "
                'text, another share, or by = "tail", which cuts every document.'
            )
    return tally.facts(
        **{
            name: {"documents": writer.documents, "bytes": writer.bytes}
            for name, writer in sides.items()
        }
    )


def _parts(config: SplitConfig, document: Document) -> tuple[str, str]:
    """The training part and the validation part of a document; either may be empty."""
    text = document.text
    if config.by == "tail":
        cut = int(len(text) * (1 - config.holdout))
        return text[:cut], text[cut:]
    return ("", text) if held_out(document.id, config.holdout) else (text, "")


def held_out(document: str, share: float) -> bool:
    """Whether a document id belongs to validation: by its hash alone.

    So a document stays on its side however the corpus around it changes.
    """
    return xxhash.xxh3_64_intdigest(document.encode()) < share * 2**64
