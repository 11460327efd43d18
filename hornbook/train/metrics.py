"""The run's diary: one JSON object per line, cut back to the checkpoint on resume.

What also goes to TensorBoard or Weights & Biases is in trackers.py.
"""

import os
from pathlib import Path
from typing import Any

import msgspec

from hornbook.core.files import atomic_file
from hornbook.train.trackers import Tracker, split


class Metrics:
    """Appends records to ``path``; each holds ``step`` and whatever was measured there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trackers: list[Tracker] = []
        self._handle = open(path, "ab")  # noqa: SIM115 -- closed on leaving

    def cut(self, done: int, events: list[dict[str, Any]]) -> None:
        """Forget what came after ``done`` steps, but for ``events`` that led back there.

        So the diary is the one of a run that was never cut off.
        """
        self._handle.close()
        kept = [
            record
            for record in read_metrics(self.path)
            if (record in events if "event" in record else record["step"] <= done)
        ]
        with atomic_file(self.path) as handle:
            handle.writelines(msgspec.json.encode(record) + b"\n" for record in kept)
        self._handle = open(self.path, "ab")  # noqa: SIM115

    def write(self, **record: Any) -> None:
        """Append one record."""
        self._handle.write(msgspec.json.encode(record) + b"\n")
        self._handle.flush()
        for tracker in self.trackers:
            tracker.write(record["step"], *split(record))

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        for tracker in self.trackers:
            tracker.close()


class Unwritten(Metrics):
    """The diary of a rank that writes none."""

    def __init__(self) -> None:
        self.trackers = []

    def cut(self, done: int, events: list[dict[str, Any]]) -> None:
        """There is nothing to forget."""

    def write(self, **record: Any) -> None:
        """Somebody else does."""

    def __exit__(self, *error: object) -> None:
        return None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every whole record of ``path``; a line cut off by a kill is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_bytes().splitlines():
        try:
            records.append(msgspec.json.decode(line))
        except msgspec.DecodeError:
            break
    return records
