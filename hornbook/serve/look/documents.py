"""A run's data: the funnel, what each rule dropped, near-duplicates, one document's story."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hornbook.data.documents import document_files
from hornbook.data.why import why
from hornbook.serve.look.runs import Runs

SHOWN = 400  # characters of a document's text
MEMBERS = 12  # documents shown of a cluster
COUNTS = ("name", "documents_in", "documents_out", "bytes_in", "bytes_out")


def funnel(runs: Runs, name: str, curation: tuple[str, ...]) -> list[dict[str, Any]]:
    """Each finished data stage: what went in and out, and why the rest did not."""
    steps = []
    for stage in curation:
        manifest = runs.manifest(name, stage)
        if manifest is None:
            continue
        facts = manifest["facts"]
        reasons = [
            {"reason": reason, **counts, "examples": facts["examples"].get(reason, [])}
            for reason, counts in facts["reasons"].items()
        ]
        steps.append(
            {key: facts[key] for key in COUNTS}
            | {"reasons": reasons, "skipped": facts.get("skipped", [])}
            | {"skipped_count": facts.get("skipped_count", {})}
        )
    return steps


def clusters(runs: Runs, name: str, start: int, count: int) -> dict[str, Any]:
    """Groups of near-duplicates, the largest first, each led by the document kept."""
    folder = runs.folder(name)
    file = folder / "dedup" / "clusters.parquet"
    if not file.exists():
        return {"clusters": [], "total": 0}
    table = pq.read_table(file)
    numbers = table["cluster"]
    total = numbers[-1].as_py() + 1 if len(numbers) else 0
    wanted = pq.read_table(
        file, filters=[("cluster", ">=", start), ("cluster", "<", start + count)]
    )
    groups = [
        list(rows)
        for _, rows in groupby(wanted.to_pylist(), key=lambda r: r["cluster"])
    ]
    shown = [row["doc"] for group in groups for row in group[:MEMBERS]]
    texts = _texts(folder / "filter", shown)
    return {
        "total": total,
        "clusters": [
            {
                "size": len(group),
                "documents": [
                    {**row, **texts.get(row["doc"], {})} for row in group[:MEMBERS]
                ],
            }
            for group in groups
        ],
    }


def story(runs: Runs, name: str, document: str, curation: tuple[str, ...]) -> Any:
    """What each stage did with a document, given by the beginning of its id."""
    folder = runs.folder(name)
    stages = {
        s: folder / s for s in curation if (folder / s / "manifest.json").exists()
    }
    return why(stages, document)


def _texts(folder: Path, ids: list[str]) -> dict[str, dict[str, str]]:
    """Path and the beginning of the text of each document of ``ids``."""
    found: dict[str, dict[str, str]] = {}
    for file in document_files(folder) if folder.is_dir() and ids else ():
        columns = ["id", "path", "text"]
        table = pq.read_table(file, columns=columns, filters=[("id", "in", ids)])
        for row in table.to_pylist():
            found[row["id"]] = {"path": row["path"], "text": row["text"][:SHOWN]}
    return found
