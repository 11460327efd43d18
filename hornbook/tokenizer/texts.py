"""Texts as the kernels take them: bytes in one padded buffer, in groups of a megabyte.

Every buffer has FRONT bytes before and PAD zero bytes after each text, so kernels may look
past an edge. Invalid UTF-8 never reaches a scanner: :func:`as_bytes` mends strings, and
whoever passes bytes asks ``kernels/utf8.py`` first.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

FRONT, PAD = 8, 80
BEFORE, AFTER = b"a" * FRONT, bytes(PAD)
BETWEEN = AFTER + BEFORE
GROUP = (
    1 << 20
)  # bytes: enough for a kernel call to cost nothing, little enough to spread
Text = TypeVar("Text", str, bytes, memoryview, str | bytes | memoryview)


def as_bytes(text: str) -> bytes:
    """UTF-8 of ``text``; surrogate pairs are joined, a lone one becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return (
            text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        )


def all_bytes(texts: Sequence[str | bytes | memoryview]) -> list[bytes | memoryview]:
    """:func:`as_bytes` of every string among ``texts``, with little ado for each."""
    try:
        return [text.encode() if isinstance(text, str) else text for text in texts]
    except UnicodeEncodeError:
        return [as_bytes(text) if isinstance(text, str) else text for text in texts]


def joined(texts: Sequence[bytes | memoryview]) -> tuple[np.ndarray, np.ndarray]:
    """Many texts in one padded buffer, and ``(3, texts)``: their starts, stops and a zero."""
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    places = np.zeros((3, len(texts)), np.int64)
    np.cumsum(sizes + len(BETWEEN), out=places[1])
    places[0] = places[1] - sizes
    return np.frombuffer(BETWEEN.join((b"", *texts, b"")), np.uint8), places


def groups(texts: Iterable[Text], size: int = GROUP) -> Iterator[list[Text]]:
    """Lists of consecutive texts of about ``size`` bytes; a longer text is alone."""
    group: list[Text] = []
    total = 0
    for text in texts:
        group.append(text)
        total += len(text)
        if total >= size:
            yield group
            group, total = [], 0
    if group:
        yield group
