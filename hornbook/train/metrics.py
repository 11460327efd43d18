"""The run's diary: one JSON object per line, cut back to the checkpoint on resume."""

import os
from pathlib import Path
from typing import Any

import msgspec

from hornbook.core.files import atomic_file


class Metrics:
    """Appends records to ``path``; each holds ``step`` and whatever was measured there."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        kept = [r for r in read_metrics(path) if r["step"] <= resumed_step]
        with atomic_file(path) as handle:
            handle.writelines(msgspec.json.encode(record) + b"\n" for record in kept)
        self._handle = open(path, "ab")  # noqa: SIM115 -- closed by close()

    def write(self, **record: Any) -> None:
        """Append one record."""
        self._handle.write(msgspec.json.encode(record) + b"\n")
        self._handle.flush()

    def close(self) -> None:
        """Flush to the disk and close."""
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()


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
