"""The texts of a JSON-lines file as bytes in one buffer, without a Python string for each.

The loops of :mod:`hornbook.data.dedup.json_scan` find the text of every line. A batch with
a line that they cannot judge is read once more by a full parser, which also says what is
wrong where something is.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np

from hornbook.core.errors import UserError
from hornbook.data.dedup.json_scan import UNKNOWN, scan

BATCH_BYTES = 2 << 20  # of the file at a time; a longer line is read as a whole
SHORTEST = len('{"text":""}\n')


class Records(NamedTuple):
    """Some records of a file; valid until the next ones are read."""

    buffer: np.ndarray  # uint8, the texts in UTF-8 end to end
    offsets: np.ndarray  # int64: text i is buffer[offsets[i]:offsets[i + 1]]
    places: (
        np.ndarray
    )  # (records, 2) int64: where the line begins in the file, its size


class Reader:
    """Reads records into memory that is used again and again."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._resize(2 * BATCH_BYTES)

    def _resize(self, size: int) -> None:
        self._lines = np.empty(size, np.uint8)
        self._texts = np.empty(size + 8, np.uint8)
        self._offsets = np.zeros(size // SHORTEST + 2, np.int64)
        self._places = np.empty((size // SHORTEST + 2, 2), np.int64)

    def all(self) -> Iterator[Records]:
        """All records of the file, some at a time."""
        at = filled = 0
        line = 1
        with open(self.source, "rb") as file:
            while True:
                read = file.readinto(self._lines[filled:].data)
                filled += read
                if not filled:
                    return
                found, taken, newlines = self._scan(filled, not read, line)
                if len(found.places):
                    yield found._replace(places=found.places + np.array([at, 0]))
                at, line = at + taken, line + newlines
                rest = self._lines[taken:filled].copy()
                if not taken and read:  # one line fills it all
                    self._resize(2 * len(self._lines))
                filled = len(rest)
                self._lines[:filled] = rest

    def at(self, file: IO[bytes], places: np.ndarray) -> Records:
        """The records whose lines are at ``places`` of the file."""
        size = int(places[:, 1].sum()) + len(places)
        if size > len(self._lines):
            self._resize(size)
        end = 0
        for start, length in places.tolist():
            file.seek(start)
            file.readinto(self._lines[end : end + length].data)
            end += length
            self._lines[end] = ord("\n")  # the file's last line may lack it
            end += 1
        return self._scan(end, True, 0)[0]

    def _scan(self, filled: int, last: bool, line: int) -> tuple[Records, int, int]:
        """The records of the lines in memory, the bytes they take, and how many lines."""
        records, taken, newlines = scan(
            self._lines[:filled], last, self._texts, self._offsets, self._places
        )
        if records == UNKNOWN or not _is_utf8(self._lines[:taken]):
            return self._scan_slowly(filled, last, line)
        offsets = self._offsets[: records + 1]
        found = Records(self._texts[: offsets[-1]], offsets, self._places[:records])
        return found, taken, newlines

    def _scan_slowly(
        self, filled: int, last: bool, line: int
    ) -> tuple[Records, int, int]:
        block = self._lines[:filled].tobytes()
        block = block if last else block[: block.rfind(b"\n") + 1]
        decode = msgspec.json.Decoder(_Record).decode
        texts, places, at = [], [], 0
        for number, record in enumerate(BytesIO(block), start=line):
            if not record.isspace():
                try:
                    texts.append(decode(record).text.encode())
                except (msgspec.DecodeError, UnicodeError) as error:
                    raise UserError(f"{self.source} line {number}: {error}.") from None
                places.append((at, len(record)))
            at += len(record)
        offsets = np.cumsum([0, *map(len, texts)])
        buffer = np.frombuffer(b"".join(texts), np.uint8)
        where = np.array(places, np.int64).reshape(-1, 2)
        return Records(buffer, offsets, where), at, block.count(b"\n")


class _Record(msgspec.Struct):
    text: str


def _is_utf8(bytes_: np.ndarray) -> bool:
    block = bytes_.tobytes()
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True
