"""Benchmarks' files from a dataset of the Hugging Face hub: ``--data hub:OWNER/NAME``."""

from collections.abc import Iterable
from pathlib import Path

from hornbook.core.errors import UserError
from hornbook.evaluate.task import TaskConfig

HUB = "hub:"


def data_folder(where: str, tasks: Iterable[TaskConfig]) -> Path:
    """The folder ``where``, or a copy of a dataset's files that the tasks name.

    ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``; the hub's own cache keeps the copy.
    Raises :class:`UserError` for no folder, no library, no network or no such dataset.
    """
    if where.startswith(HUB):
        return _fetched(where.removeprefix(HUB), list(tasks))
    folder = Path(where)
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {where} with benchmarks; name it with --data, or a dataset "
            "as hub:OWNER/NAME."
        )
    return folder


def _fetched(name: str, tasks: list[TaskConfig]) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            "Reading from the hub takes its library: pip install 'hornbook[hub]'."
        ) from None
    repo, _, revision = name.partition("@")
    try:
        return Path(
            snapshot_download(
                repo,
                repo_type="dataset",
                revision=revision or None,
                allow_patterns=[p for task in tasks for p in patterns(task)],
            )
        )
    except Exception as error:  # the library's, its http client's, the system's
        reason = (
            str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        )
        raise UserError(f"hub:{name} cannot be had: {reason}") from None


def patterns(task: TaskConfig) -> list[str]:
    """Every pattern that may name a file of a task."""
    files = task.files
    named = "|".join((files.test, files.shots.replace("{file}", "*"), files.labels))
    return [pattern.strip() for pattern in named.split("|") if pattern.strip()]
