"""What is noted of each document to find its duplicates, in memory and beside a stage.

A stage keeps the signatures of the documents that stayed, so that a later run can be
compared with it (``against``) without reading its texts again.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from hornbook.core.errors import UserError
from hornbook.core.files import read_json, write_json
from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers
from hornbook.data.dedup.minhash import band_keys
from hornbook.data.dedup.presets import Lsh
from hornbook.data.documents import count_documents, read_tables

VERSION = 1  # of the hashes: one more whenever the same text would get other keys


@dataclass
class Signed:
    """What is noted about ``n`` documents: 60 bytes each, and 8 more per band."""

    ids: np.ndarray  # (n, 2) uint64: the 128 bits of the id
    digests: np.ndarray  # (n, 2) uint64: xxh3_128 of the text
    sizes: np.ndarray  # (n,) int64, bytes
    shingles: np.ndarray  # (n,) int64
    keys: np.ndarray  # (bands, n) uint64; may be a file mapped into memory
    sources: np.ndarray  # (n,) int32: which of the names
    names: list[str]


def sign(settings: Lsh, documents: Path, progress: Progress, keys: Path) -> Signed:
    """One pass over the texts; the band keys go into the file ``keys`` (.npy)."""
    total = count_documents(documents)
    signed = Signed(
        np.empty((total, 2), np.uint64),
        np.empty((total, 2), np.uint64),
        np.empty(total, np.int64),
        np.zeros(total, np.int64),
        _array_in_file(keys, (settings.bands, total)),
        np.empty(total, np.int32),
        [],
    )
    start = 0
    for table in read_tables(documents, ["id", "source", "text"]):
        here = slice(start, start + table.num_rows)
        buffer, offsets = text_buffers(column_texts(table))
        signed.ids[here] = _numbers("".join(table.column("id").to_pylist()))
        signed.digests[here] = text_digests(buffer, offsets)
        signed.sizes[here] = np.diff(offsets)
        signed.sources[here] = _codes(table.column("source"), signed.names)
        signed.keys[:, here], signed.shingles[here] = band_keys(
            buffer, offsets, settings.ngram, settings.bands, settings.rows
        )
        start += table.num_rows
        progress.advance(table.num_rows)
    return signed


def _array_in_file(path: Path, shape: tuple[int, int]) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, np.uint64)  # an empty file cannot be mapped
    path.parent.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(path, "w+", np.uint64, shape)


def text_digests(buffer: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """xxh3_128 of each text, ``(texts, 2)`` uint64."""
    view = buffer.data
    digest = xxhash.xxh3_128_hexdigest
    return _numbers("".join([digest(view[a:b]) for a, b in pairwise(offsets.tolist())]))


def _numbers(hexadecimal: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(hexadecimal), ">u8").reshape(-1, 2)


def id_of(number: np.ndarray) -> str:
    """The 32 hex digits of an id's two numbers."""
    return f"{int(number[0]):016x}{int(number[1]):016x}"


def _codes(sources: pa.ChunkedArray, names: list[str]) -> np.ndarray:
    """The place of each source in ``names``, which grows by those not met before."""
    encoded = sources.combine_chunks().dictionary_encode()
    for name in encoded.dictionary.to_pylist():
        if name not in names:
            names.append(name)
    places = [names.index(name) for name in encoded.dictionary.to_pylist()]
    return np.array(places, np.int32)[encoded.indices.to_numpy()]


def save(signed: Signed, settings: Lsh, kept: np.ndarray, folder: Path) -> None:
    """Write what is noted of the documents at the indices ``kept`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ids", "digests", "sizes", "shingles"):
        np.save(folder / f"{name}.npy", getattr(signed, name)[kept])
    keys = _array_in_file(folder / "keys.npy", (settings.bands, len(kept)))
    for row, band in zip(keys, signed.keys, strict=True):
        row[:] = band[kept]
    if isinstance(keys, np.memmap):
        keys.flush()
    write_json(folder / "settings.json", _label(settings, len(kept)))


def earlier(settings: Lsh, run: Path, progress: Progress, scratch: Path) -> Signed:
    """What is noted of the documents that an earlier run kept; signed now if it must be."""
    documents = documents_of(run)
    folder = documents / "signatures"
    label = _label(settings, count_documents(documents))
    known = folder / "settings.json"
    if not known.is_file() or read_json(known) != label:
        return sign(settings, documents, progress, scratch)
    progress.advance(label["documents"])
    empty = np.zeros((settings.bands, 0), np.uint64)
    return Signed(
        *(
            np.load(folder / f"{n}.npy")
            for n in ("ids", "digests", "sizes", "shingles")
        ),
        np.load(folder / "keys.npy", mmap_mode="r") if label["documents"] else empty,
        np.zeros(label["documents"], np.int32),
        ["earlier"],
    )


def documents_of(run: Path) -> Path:
    """The folder of documents that an earlier run's dedup stage left."""
    for folder in (run / "dedup", run):
        if any(folder.glob("documents-*.parquet")):
            return folder
    raise UserError(
        f"data.dedup.against: {run} is no run with a finished dedup stage, "
        "and no folder of documents."
    )


def _label(settings: Lsh, documents: int) -> dict[str, int]:
    shape = {name: getattr(settings, name) for name in ("ngram", "bands", "rows")}
    return {"version": VERSION, "documents": documents, **shape}
