"""Token shards: all documents as one long sequence of ids, in memory-mapped .npy files.

Each document is followed by ``<|endoftext|>``. A directory of shards holds

    tokens-00000.npy ...  the ids, uint16 where the vocabulary allows it, else uint32
    offsets.npy           int64: document i is offsets[i]:offsets[i + 1] of the sequence
    ids.npy               the documents' ids, to tell where a token came from
    index.json            counts, documents per source, bytes of text, SHA-256 of each file
"""

from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from hornbook.core.errors import UserError
from hornbook.core.files import read_json, sha256, write_json
from hornbook.core.progress import Progress
from hornbook.data.documents import count_documents
from hornbook.data.funnel import Tally
from hornbook.data.growing import Encoded, GrowingShards, note_of, shard_file
from hornbook.data.units import (
    THREADS,
    UNIT_BYTES,
    DocumentUnit,
    basis,
    document_units,
    state_of,
)

FORMAT = "hornbook-shards-2"
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

    def encode_many(self, texts: list[bytes], threads: int) -> list[np.ndarray]:
        """The int32 ids of each text."""
        ...


def write_shards(documents: Path, tokenizer: Encoder, out: Path) -> dict[str, Any]:
    """Tokenize every document of ``documents`` into shards at ``out``; returns the facts.

    The facts hold the funnel's counts and ``tokens``, ``bytes``, ``bytes_per_token``. What an
    interrupted attempt left in ``out`` is kept, as far as it noted that it was whole.
    """
    out.mkdir(parents=True, exist_ok=True)
    special = tokenizer.special
    of = basis(tokenizer.vocab_size, special, state_of(documents), UNIT_BYTES)
    if note_of(out).get("basis") != of or not (out / "index.json").exists():
        (out / "index.json").unlink(missing_ok=True)
        dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
        with (
            GrowingShards(out, dtype, of) as files,
            Progress("tokenize", count_documents(documents), "doc") as progress,
        ):
            progress.advance(files.documents, earlier=True)
            units = islice(document_units(documents), files.units, None)
            encode = partial(_encode_unit, tokenizer=tokenizer, dtype=dtype)
            for encoded in THREADS(encode, units):
                files.append(encoded)
                progress.advance(len(encoded.ids), f"{files.tokens:,} tokens")
        write_json(out / "index.json", _index(out, tokenizer, dtype, files))
    return _facts(read_json(out / "index.json"))


def _encode_unit(unit: DocumentUnit, tokenizer: Encoder, dtype: np.dtype) -> Encoded:
    end = np.array([tokenizer.special[END_OF_TEXT]], dtype)
    parts: list[np.ndarray] = [end[:0]]
    lengths, ids, sources, size = [], [], [], 0
    for table in unit.tables(["id", "source", "text"]):
        texts = table.column("text").cast(pa.large_binary()).to_pylist()
        for tokens in tokenizer.encode_many(texts, threads=1):
            parts += (tokens.astype(dtype), end)
            lengths.append(len(tokens) + 1)
        ids += table.column("id").to_pylist()
        names = groupby(table.column("source").to_pylist())
        sources += [(name, sum(1 for _ in documents)) for name, documents in names]
        size += sum(map(len, texts))
    return Encoded(
        np.concatenate(parts),
        np.array(lengths, np.int64),
        np.array(ids, "S32"),
        sources,
        size,
    )


def _index(
    out: Path, tokenizer: Encoder, dtype: np.dtype, files: "GrowingShards"
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "dtype": dtype.name,
        "vocab_size": tokenizer.vocab_size,
        "end_of_text": tokenizer.special[END_OF_TEXT],
        "documents": files.documents,
        "tokens": files.tokens,
        "bytes": files.bytes,
        "sources": files.sources,
        "shards": [
            {
                "file": shard_file(out, number).name,
                "tokens": files.shard_tokens(number),
                "sha256": sha256(shard_file(out, number)),
            }
            for number in range(files.shards)
        ],
        "sha256": {name: sha256(out / name) for name in ("offsets.npy", "ids.npy")},
    }


def _facts(index: dict[str, Any]) -> dict[str, Any]:
    tally = Tally("shards")
    tally.take(index["documents"], index["bytes"])
    tally.keep(index["documents"], index["bytes"])
    return tally.facts(
        tokens=index["tokens"],
        bytes=index["bytes"],
        bytes_per_token=index["bytes"] / max(index["tokens"], 1),
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
