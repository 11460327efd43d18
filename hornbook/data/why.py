"""One document's whole story: where it came from, what was measured, why it stayed or went."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hornbook.core.errors import UserError
from hornbook.data.documents import document_files

Step = dict[str, Any]


def why(stages: dict[str, Path], document: str) -> list[Step]:
    """What each of ``stages`` (name -> directory, in order) did with a document.

    ``document`` is an id or the beginning of one. Each step has ``stage``, ``present`` (does
    it leave the stage?), and what the stage noted: ``path`` and ``bytes``, its numbers, the
    kept duplicate, its side of the split. Raises :class:`UserError` when no document, or
    more than one, begins so.
    """
    found = _whole_id(stages, document)
    steps = []
    for name, directory in stages.items():
        step: Step = {"stage": name, "present": False}
        for folder, side in _folders(directory):
            row = _document(folder, found)
            if row:
                step |= {"present": True, "path": row["path"], "source": row["source"]}
                step |= {"bytes": len(row["text"].encode())}
                step |= {"side": side} if side else {}
        for file, key in (
            ("sources.parquet", "id"),
            ("statistics.parquet", "id"),
            ("duplicates.parquet", "doc"),
            ("contaminated.parquet", "doc"),
        ):
            step |= (
                {"notes": row} if (row := _row(directory / file, key, found)) else {}
            )
        steps.append(step)
        if not step["present"]:
            break
    return steps


def _folders(directory: Path) -> list[tuple[Path, str]]:
    """The folders of documents in a stage's directory: itself, or the sides of the split."""
    sides = [(directory / side, side) for side in ("train", "validation")]
    present = [(folder, side) for folder, side in sides if folder.is_dir()]
    return present or [(directory, "")]


def _whole_id(stages: dict[str, Path], prefix: str) -> str:
    first = next(iter(stages.values()))
    matches: set[str] = set()
    for file in document_files(first):
        ids = pq.read_table(file, columns=["id"])["id"].to_pylist()
        matches |= {found for found in ids if found.startswith(prefix)}
    if len(matches) == 1:
        return matches.pop()
    if not matches:
        raise UserError(
            f"No document of {first} has an id that begins with '{prefix}'."
        )
    raise UserError(
        f"{len(matches)} documents have an id that begins with '{prefix}'; give more of it."
    )


def _document(folder: Path, document: str) -> dict[str, Any] | None:
    for file in document_files(folder):
        if row := _row(file, "id", document):
            return row
    return None


def _row(file: Path, key: str, value: str) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    rows = pq.read_table(file, filters=[(key, "==", value)]).to_pylist()
    return rows[0] if rows else None
