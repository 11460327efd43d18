"""What is noted of each document to find its duplicates, in memory and beside a stage.

A stage keeps the signatures of the documents that stayed, so that a later run can be
compared with it (``against``) without reading its texts again.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from hornbook.core.files import atomic_file, read_json, write_json
from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers
from hornbook.data.dedup.earlier_runs import documents_of
from hornbook.data.dedup.minhash import band_keys
from hornbook.data.dedup.presets import Lsh
from hornbook.data.documents import count_documents
from hornbook.data.funnel import Tally
from hornbook.data.units import DocumentUnit, pass_over

ARRAYS = ("ids", "digests", "sizes", "shingles")  # stored whole, one file each
VERSION = 2  # of the hashes: one more whenever the same text would get other keys


@dataclass
class Signed:
    """What is noted about ``n`` documents: 60 bytes each, and 8 more per band.

    The arrays may be files mapped into memory.
    """

    ids: np.ndarray  # (n, 2) uint64: the 128 bits of the id
    digests: np.ndarray  # (n, 2) uint64: xxh3_128 of the text
    sizes: np.ndarray  # (n,) int64, bytes
    shingles: np.ndarray  # (n,) int64
    keys: np.ndarray  # (bands, n) uint64
    sources: np.ndarray  # (n,) int32: which of the names
    names: list[str]


def sign(settings: Lsh, documents: Path, progress: Progress, folder: Path) -> Signed:
    """One pass over the texts, by units that stay in ``folder`` should it be cut off.

    What is noted goes into files of ``folder`` that are mapped into memory.
    """

    def work(number: int, unit: DocumentUnit) -> dict[str, Any]:
        return _sign_unit(settings, number, unit, folder)

    total = count_documents(documents)
    done = list(pass_over(work, documents, folder, progress, VERSION, settings))

    def array(name: str, *shape: int, kind: type = np.int64) -> np.ndarray:
        return _array_in_file(folder / f"{name}.npy", shape, kind)

    signed = Signed(
        array("ids", total, 2, kind=np.uint64),
        array("digests", total, 2, kind=np.uint64),
        array("sizes", total),
        array("shingles", total),
        array("keys", settings.bands, total, kind=np.uint64),
        array("sources", total, kind=np.int32),
        list(dict.fromkeys(name for facts in done for name in facts["names"])),
    )
    start = 0
    for number, facts in enumerate(done):
        stop = start + facts["tally"]["documents_in"]
        with np.load(_unit_file(folder, number), allow_pickle=False) as unit:
            for name in ARRAYS:
                getattr(signed, name)[start:stop] = unit[name]
            signed.keys[:, start:stop] = unit["keys"]
            known = [signed.names.index(name) for name in facts["names"]]
            signed.sources[start:stop] = np.array(known, np.int32)[unit["sources"]]
        start = stop
    return signed


def _sign_unit(
    settings: Lsh, number: int, unit: DocumentUnit, folder: Path
) -> dict[str, Any]:
    """Note what there is to note about one unit's documents, in a file of its own."""
    table, names = unit.table(["id", "source", "text"]), []
    tally = Tally("sign")
    tally.take_table(table)
    buffer, offsets = text_buffers(column_texts(table))
    keys, shingles = band_keys(
        buffer, offsets, settings.ngram, settings.bands, settings.rows
    )
    with atomic_file(_unit_file(folder, number)) as handle:
        np.savez(
            handle,
            ids=_numbers("".join(table.column("id").to_pylist())),
            digests=text_digests(buffer, offsets),
            sizes=np.diff(offsets),
            shingles=shingles,
            keys=keys,
            sources=_codes(table.column("source"), names),
        )
    return {"tally": tally.facts(), "names": names}


def _unit_file(folder: Path, number: int) -> Path:
    return folder / f"signed-{number:06d}.npz"


def _array_in_file(path: Path, shape: tuple[int, ...], kind: type) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, kind)  # an empty file cannot be mapped
    path.parent.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(path, "w+", kind, shape)


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
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(signed, name)[kept])
    keys = _array_in_file(folder / "keys.npy", (settings.bands, len(kept)), np.uint64)
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
    stored = folder / "settings.json"
    if not stored.is_file() or read_json(stored) != label:
        return sign(settings, documents, progress, scratch)
    progress.advance(label["documents"])
    known = {n: np.load(folder / f"{n}.npy") for n in ARRAYS}
    keys = np.zeros((settings.bands, 0), np.uint64)
    if label["documents"]:
        keys = np.load(folder / "keys.npy", mmap_mode="r")
    sources = np.zeros(label["documents"], np.int32)
    return Signed(**known, keys=keys, sources=sources, names=["earlier"])


def _label(settings: Lsh, documents: int) -> dict[str, int]:
    shape = {name: getattr(settings, name) for name in ("ngram", "bands", "rows")}
    return {"version": VERSION, "documents": documents, **shape}
