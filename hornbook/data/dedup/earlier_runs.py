"""Where the documents of earlier runs lie. Light: a run is planned with it."""

from pathlib import Path
from typing import Any

from hornbook.core.errors import UserError


def documents_of(run: Path) -> Path:
    """The folder of documents that an earlier run's dedup stage left, or ``run`` itself.

    Raises :class:`UserError` when there is none.
    """
    for folder in (run / "dedup", run):
        if any(folder.glob("documents-*.parquet")):
            return folder
    raise UserError(
        f"data.dedup.against: {run} is no run with a finished dedup stage, "
        "and no folder of documents."
    )


def fingerprint(runs: tuple[str, ...]) -> Any:
    """What changes when the documents of one of the ``runs`` do; None for no runs."""
    return [
        [run, *([p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files)]
        for run in runs
        for files in [sorted(documents_of(Path(run)).glob("documents-*.parquet"))]
    ] or None
