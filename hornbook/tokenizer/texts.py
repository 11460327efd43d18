"""Texts as the kernels take them: bytes in one padded buffer, in groups of a megabyte.

Every buffer has FRONT bytes before and PAD zero bytes after each text, so kernels may look
past an edge. Invalid UTF-8 never reaches a scanner: :func:`as_bytes` mends strings, and
callers cut bytes at what :func:`first_invalid` finds.
"""

from collections.abc import Iterable, Iterator

import numpy as np

FRONT, PAD = 8, 80
BEFORE, AFTER = b"a" * FRONT, bytes(PAD)
BETWEEN = AFTER + BEFORE
GROUP = (
    1 << 20
)  # bytes: enough for a kernel call to cost nothing, little enough to spread


def as_bytes(text: str) -> bytes:
    """UTF-8 of ``text``; surrogate pairs are joined, a lone one becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return (
            text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        )


def is_valid(data: bytes) -> bool:
    """Whether ``data`` is UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def one_buffer(text: bytes) -> np.ndarray:
    """A padded buffer of one text, which begins at FRONT."""
    return np.frombuffer(b"".join((BEFORE, text, AFTER)), np.uint8)


def joined(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Many texts in one padded buffer, and ``(3, texts)``: their starts, stops and a zero."""
    sizes = np.array([len(text) for text in texts], np.int64)
    places = np.zeros((3, len(texts)), np.int64)
    np.cumsum(sizes + len(BETWEEN), out=places[1])
    places[0] = places[1] - sizes
    return np.frombuffer(BETWEEN.join((b"", *texts, b"")), np.uint8), places


def groups(texts: Iterable[bytes], size: int = GROUP) -> Iterator[list[bytes]]:
    """Lists of consecutive texts of about ``size`` bytes; a longer text is alone."""
    group: list[bytes] = []
    total = 0
    for text in texts:
        group.append(text)
        total += len(text)
        if total >= size:
            yield group
            group, total = [], 0
    if group:
        yield group
