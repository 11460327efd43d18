"""Texts with what to measure them by: the source they came from and their language."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.core.errors import UserError
from hornbook.data.classify.language import load_language_model
from hornbook.data.read.compressed import BrokenStream, open_stream
from hornbook.data.read.formats import read_jsonl

BATCH = 500  # texts whose language is looked at together
PART = 10_000  # characters: a file's text is cut into such parts, each has its language
Labelled = tuple[tuple[str, ...], str]


def labelled(texts: Iterable[tuple[str, str]]) -> Iterator[Labelled]:
    """Of each ``(source, text)``: ``("source NAME", "language CODE")`` and the text."""
    model, rest = load_language_model(), iter(texts)
    while some := list(islice(rest, BATCH)):
        column = pa.array([_whole(text) for _, text in some], pa.large_string())
        for (source, text), code in zip(some, model.identify(column)[0], strict=True):
            yield (f"source {source}", f"language {code or 'unknown'}"), text


def texts_of(
    files: Iterable[Path], text_key: str = "text"
) -> Iterator[tuple[str, str]]:
    """``(source, text)`` of text files, JSON lines (also compressed) and our documents.

    The source is the file's name, or what a document says. Raises :class:`UserError` for a
    file that is damaged or holds no text.
    """
    for file in files:
        try:
            found = 0
            for source, text in _read(file, text_key):
                found += bool(text)
                yield source, text
        except (OSError, BrokenStream, pa.ArrowException) as error:
            raise UserError(f"{file} cannot be read: {error}.") from None
        if not found:
            raise UserError(f"{file} holds no text under the key '{text_key}'.")


def _read(file: Path, text_key: str) -> Iterator[tuple[str, str]]:
    if file.suffix == ".parquet":
        columns = ["source", text_key]
        for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=columns):
            yield from ((r["source"], r[text_key]) for r in batch.to_pylist())
        return
    with file.open("rb") as handle:
        stream: Any = open_stream(handle)
        if ".jsonl" in file.name:
            for _, text in read_jsonl(file.name, stream, text_key, lambda *_: None):
                yield file.name, text
        else:
            for part in parts_of(stream.read().decode(errors="replace")):
                yield file.name, part


def parts_of(text: str, size: int = PART) -> Iterator[str]:
    """``text`` cut after lines, into parts of about ``size`` characters."""
    at = 0
    while at < len(text):
        end = text.find("\n", at + size) + 1 or len(text)
        yield text[at:end]
        at = end


def _whole(text: str) -> str:
    """``text`` as Arrow can hold it: lone surrogates become question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()
