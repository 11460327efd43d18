"""Shards under way: .npy files that grow by whole units, and a note of how far they are.

Killed at any moment, the next attempt cuts off what the note does not know of and goes on.
"""

import os
import struct
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hornbook.core.files import read_json, write_json
from hornbook.data.units import FOLDER

SHARD_TOKENS = 1 << 28  # per file
NOTE = Path(FOLDER) / "progress.json"
HEADER_BYTES = 128  # before the data of a .npy file


@dataclass(frozen=True)
class Encoded:
    """The documents of one unit as they go into the files."""

    tokens: np.ndarray  # each document's end included
    lengths: np.ndarray  # (documents,) int64
    ids: np.ndarray  # (documents,) of 32 characters
    sources: list[tuple[str, int]]  # names and documents, in order
    bytes: int  # of text


def shard_file(directory: Path, number: int) -> Path:
    """The path of the ``number``-th file of tokens."""
    return directory / f"tokens-{number:05d}.npy"


def note_of(directory: Path) -> dict[str, Any]:
    """How far an earlier attempt came, and what it was made of."""
    note = directory / NOTE
    return read_json(note) if note.exists() else {}


class GrowingShards:
    """The files of a directory of shards, which grow by units; a note says how far.

    What lies behind that in the files was being written when an attempt was cut off. An
    attempt that was made ``of`` something else is of no use.
    """

    def __init__(self, directory: Path, dtype: np.dtype, of: str) -> None:
        self.directory, self.dtype = directory, dtype
        noted = note_of(directory)
        if noted.get("basis") != of:
            noted = {}
            for old in directory.glob("tokens-*.npy"):
                old.unlink()
        self.basis = of
        self.units = noted.get("units", 0)
        self.documents = noted.get("documents", 0)
        self.tokens = noted.get("tokens", 0)
        self.bytes = noted.get("bytes", 0)
        self.sources: dict[str, int] = noted.get("sources", {})

    def __enter__(self) -> "GrowingShards":
        self._shard: GrowingArray | None = None
        self._ids = GrowingArray(
            self.directory / "ids.npy", np.dtype("S32"), self.documents
        )
        edges = self.documents + 1 if self.units else 0
        self._offsets = GrowingArray(
            self.directory / "offsets.npy", np.dtype(np.int64), edges
        )
        if not self.units:
            self._offsets.append(np.zeros(1, np.int64))
        return self

    @property
    def shards(self) -> int:
        """How many files of tokens there are."""
        return -(-self.tokens // SHARD_TOKENS)

    def shard_tokens(self, number: int) -> int:
        """How many tokens one of them holds."""
        return min(SHARD_TOKENS, self.tokens - number * SHARD_TOKENS)

    def append(self, unit: Encoded) -> None:
        """Add one unit, and note that it is there once it is on the disk."""
        self._offsets.append(self.tokens + np.cumsum(unit.lengths))
        self._ids.append(unit.ids)
        self._append_tokens(unit.tokens)
        self.units += 1
        self.documents += len(unit.ids)
        self.bytes += unit.bytes
        for name, documents in unit.sources:
            self._count_source(name, documents)
        for file in (self._offsets, self._ids, self._shard):
            if file:
                file.sync()
        names = ("basis", "units", "documents", "tokens", "bytes", "sources")
        (self.directory / NOTE).parent.mkdir(exist_ok=True)
        write_json(self.directory / NOTE, {n: getattr(self, n) for n in names})

    def _count_source(self, name: str, documents: int) -> None:
        """All documents of one source come before any of the next."""
        if name in self.sources and name != next(reversed(self.sources)):
            raise ValueError(f"documents of the source '{name}' lie in two places")
        self.sources[name] = self.sources.get(name, 0) + documents

    def _append_tokens(self, tokens: np.ndarray) -> None:
        while len(tokens):
            number, count = divmod(self.tokens, SHARD_TOKENS)
            if self._shard is None:
                path = shard_file(self.directory, number)
                self._shard = GrowingArray(path, self.dtype, count)
            part = tokens[: SHARD_TOKENS - count]
            self._shard.append(part)
            self.tokens += len(part)
            tokens = tokens[len(part) :]
            if self.tokens % SHARD_TOKENS == 0:
                self._shard.close()
                self._shard = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (self._offsets, self._ids, self._shard):
            with nullcontext() if kind is None else suppress(OSError):
                if file:
                    file.close()


class GrowingArray:
    """A one-dimensional .npy file, of which the first ``count`` entries are kept."""

    def __init__(self, path: Path, dtype: np.dtype, count: int) -> None:
        self.dtype, self.count = dtype, count
        self._file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115
        self._file.seek(HEADER_BYTES + count * dtype.itemsize)
        self._file.truncate()

    def append(self, array: np.ndarray) -> None:
        """Add entries at the end."""
        self._file.write(array.astype(self.dtype, copy=False).data)
        self.count += len(array)

    def sync(self) -> None:
        """Put them on the disk now, and in the header how many there are."""
        self._file.seek(0)
        self._file.write(_npy_header(self.dtype, self.count))
        self._file.seek(0, os.SEEK_END)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Nothing more comes."""
        self.sync()
        self._file.close()


def _npy_header(dtype: np.dtype, count: int) -> bytes:
    """The bytes before a one-dimensional array's data in a .npy file of version 1.0."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({count},), }}"
    size = HEADER_BYTES - 10
    return (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", size)
        + text.ljust(size - 1).encode()
        + b"\n"
    )
