"""Token shards: all documents as one long sequence of ids, in memory-mapped .npy files.

Each document is followed by ``<|endoftext|>``. A directory of shards holds

    tokens-00000.npy ...  the ids, uint16 where the vocabulary allows it, else uint32
    offsets.npy           int64: document i is offsets[i]:offsets[i + 1] of the sequence
    ids.npy               the documents' ids, to tell where a token came from
    index.json            counts, documents per source, bytes of text, SHA-256 of each file
"""

import struct
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from hornbook.core.errors import UserError
from hornbook.core.files import read_json, sha256, write_json
from hornbook.core.progress import Progress
from hornbook.data.documents import count_documents, read_tables

FORMAT = "hornbook-shards-2"
SHARD_TOKENS = 1 << 28
END_OF_TEXT = "<|endoftext|>"


class Encoder(Protocol):
    """What :func:`write_shards` needs of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        ...

    @property
    def special(self) -> dict[str, int]:
        """Special tokens and their ids."""
        ...

    def encode_many(self, texts: list[str]) -> list[np.ndarray]:
        """The int32 ids of each text."""
        ...


def write_shards(documents: Path, tokenizer: Encoder, out: Path) -> dict[str, Any]:
    """Tokenize every document of ``documents`` into shards at ``out``; returns the facts.

    The facts hold the funnel's counts and ``tokens``, ``bytes``, ``bytes_per_token``.
    """
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    end = np.array([tokenizer.special[END_OF_TEXT]], dtype)
    out.mkdir(parents=True, exist_ok=True)
    lengths: list[int] = []
    ids: list[str] = []
    sources: dict[str, int] = {}
    size = 0
    with (
        _TokenFiles(out, dtype) as files,
        Progress("tokenize", count_documents(documents), "doc") as progress,
    ):
        for table in read_tables(documents, ["id", "source", "text"]):
            texts = table.column("text").to_pylist()
            for tokens in tokenizer.encode_many(texts):
                files.write(tokens.astype(dtype))
                files.write(end)
                lengths.append(len(tokens) + 1)
            ids += table.column("id").to_pylist()
            _count_sources(table.column("source").to_pylist(), sources)
            size += sum(len(text.encode()) for text in texts)
            progress.advance(len(texts), note=f"{files.total:,} tokens")
    np.save(out / "offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
    np.save(out / "ids.npy", np.array(ids, "S32"))
    index = {
        "format": FORMAT,
        "dtype": dtype.name,
        "vocab_size": tokenizer.vocab_size,
        "end_of_text": int(end[0]),
        "documents": len(lengths),
        "tokens": files.total,
        "bytes": size,
        "sources": sources,
        "shards": files.written,
        "sha256": {name: sha256(out / name) for name in ("offsets.npy", "ids.npy")},
    }
    write_json(out / "index.json", index)
    return {
        "name": "shards",
        "documents_in": len(lengths),
        "documents_out": len(lengths),
        "bytes_in": size,
        "bytes_out": size,
        "reasons": {},
        "examples": {},
        "skipped": [],
        "skipped_count": {},
        "tokens": files.total,
        "bytes": size,
        "bytes_per_token": size / max(files.total, 1),
    }


def _count_sources(column: list[str], sources: dict[str, int]) -> None:
    """Add the documents of each source; all of one must come before any of the next."""
    for name, documents in groupby(column):
        if name in sources and name != next(reversed(sources)):
            raise ValueError(f"documents of the source '{name}' lie in two places")
        sources[name] = sources.get(name, 0) + sum(1 for _ in documents)


class _TokenFiles:
    """Writes one long sequence as .npy files of at most ``SHARD_TOKENS`` ids."""

    def __init__(self, directory: Path, dtype: np.dtype) -> None:
        self.directory, self.dtype = directory, dtype
        self.total = 0
        self.written: list[dict[str, Any]] = []
        self._file: IO[bytes] | None = None
        self._count = 0

    def __enter__(self) -> "_TokenFiles":
        return self

    def write(self, tokens: np.ndarray) -> None:
        while len(tokens):
            if self._file is None:
                self._file = open(self._path(), "wb")  # noqa: SIM115
                self._file.write(_npy_header(self.dtype, 0))
                self._count = 0
            part = tokens[: SHARD_TOKENS - self._count]
            self._file.write(part.tobytes())
            self._count += len(part)
            self.total += len(part)
            tokens = tokens[len(part) :]
            if self._count == SHARD_TOKENS:
                self._close()

    def _path(self) -> Path:
        return self.directory / f"tokens-{len(self.written):05d}.npy"

    def _close(self) -> None:
        if self._file is None:
            return
        self._file.seek(0)
        self._file.write(_npy_header(self.dtype, self._count))
        self._file.close()
        self._file = None
        path = self._path()
        facts = {"file": path.name, "tokens": self._count, "sha256": sha256(path)}
        self.written.append(facts)

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._close()
        elif self._file is not None:
            self._file.close()


def _npy_header(dtype: np.dtype, count: int) -> bytes:
    """The 128 bytes before a one-dimensional array's data in a .npy file of version 1.0."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({count},), }}"
    return (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.ljust(117).encode() + b"\n"
    )


@dataclass(frozen=True)
class Shards:
    """Tokenized documents, memory-mapped: nothing is read until it is asked for."""

    directory: Path
    arrays: list[np.ndarray]
    starts: np.ndarray  # (shards + 1,) int64: where each array begins in the sequence
    offsets: np.ndarray  # (documents + 1,) int64: where each document begins
    index: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> "Shards":
        """Map the shards of ``directory``; raises :class:`UserError` where they are damaged."""
        index = read_json(directory / "index.json")
        if index.get("format") != FORMAT:
            raise UserError(f"{directory} holds no shards of the format {FORMAT}.")
        arrays = []
        for shard in index["shards"]:
            array = _map(directory / shard["file"])
            if array.dtype.name != index["dtype"] or array.shape != (shard["tokens"],):
                raise UserError(
                    f"{directory / shard['file']} holds {array.shape} {array.dtype.name}, not "
                    f"the {shard['tokens']} {index['dtype']} that index.json names; "
                    "make the shards again."
                )
            arrays.append(array)
        starts = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int64)
        offsets = _map(directory / "offsets.npy")
        if starts[-1] != index["tokens"] or offsets[-1] != index["tokens"]:
            raise UserError(
                f"{directory}: the files' tokens do not add up to index.json's."
            )
        return cls(directory, arrays, starts, offsets, index)

    @property
    def tokens(self) -> int:
        """How many ids the sequence has, each document's ``<|endoftext|>`` included."""
        return int(self.starts[-1])

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return len(self.offsets) - 1

    @property
    def sources(self) -> dict[str, range]:
        """The documents of each source: those of one lie together."""
        spans, start = {}, 0
        for name, count in self.index["sources"].items():
            spans[name] = range(start, start + count)
            start += count
        return spans

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text, for bits per byte."""
        return self.index["bytes"]

    @property
    def vocab_size(self) -> int:
        """Every id is below this."""
        return self.index["vocab_size"]

    @property
    def end_of_text(self) -> int:
        """The id of ``<|endoftext|>``."""
        return self.index["end_of_text"]

    def read(self, start: int, count: int) -> np.ndarray:
        """``count`` ids from ``start`` on, ``(count,)`` int64, across files."""
        if start < 0 or start + count > self.tokens:
            raise IndexError(
                f"{start}:{start + count} lies outside {self.tokens} tokens"
            )
        out = np.empty(count, np.int64)
        shard = int(np.searchsorted(self.starts, start, side="right")) - 1
        filled = 0
        while filled < count:
            at = start + filled - int(self.starts[shard])
            part = self.arrays[shard][at : at + count - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
            shard += 1
        return out

    def document(self, number: int) -> np.ndarray:
        """The ids of one document, with its ``<|endoftext|>``."""
        start, end = self.offsets[number : number + 2].tolist()
        return self.read(start, end - start)

    def document_id_at(self, token: int) -> str:
        """The id of the document that the token at this place came from."""
        number = int(np.searchsorted(self.offsets, token, side="right")) - 1
        return np.load(self.directory / "ids.npy", mmap_mode="r")[number].decode()

    def verify(self) -> None:
        """Read every file and compare its SHA-256; :class:`UserError` names a damaged one."""
        expected = {s["file"]: s["sha256"] for s in self.index["shards"]}
        for name, digest in (expected | self.index["sha256"]).items():
            if sha256(self.directory / name) != digest:
                raise UserError(
                    f"{self.directory / name} is damaged (its SHA-256 differs from "
                    "index.json's); make the shards again."
                )


def _map(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); make the shards again."
        ) from None
