"""Zstandard files that need a dictionary which is not at hand, told from their first bytes.

The frame format: RFC 8878. Some crawls pack each record with a dictionary that stands in a
frame of its own at the start of the file.
"""

from typing import IO

from hornbook.data.read.compressed import ZSTD, BrokenStream

SKIPPABLE = b"*M\x18"  # behind a byte of 0x50 to 0x5f
DICTIONARY_FRAME = 0x5D


def refuse_dictionary(handle: IO[bytes]) -> None:
    """Raise :class:`BrokenStream` for a file that a dictionary was used for."""
    start = handle.tell()
    head = handle.read(18)
    handle.seek(start)
    advice = "unpack it with the program zstd first"
    if head[1:4] == SKIPPABLE and head[0] & 0xF0 == 0x50:
        what = (
            "a dictionary" if head[0] == DICTIONARY_FRAME else "a frame of other data"
        )
        raise BrokenStream(0, f"zstd with {what} at its start; {advice}")
    if head.startswith(ZSTD) and (number := _dictionary(head)):
        raise BrokenStream(0, f"zstd with the dictionary {number}; {advice} (-D)")


def _dictionary(head: bytes) -> int:
    """The number of the dictionary that a frame needs; 0 for none."""
    if len(head) < 5:
        return 0
    descriptor = head[4]
    start = (
        5 if descriptor & 0x20 else 6
    )  # behind the window's size, where there is one
    size = (0, 1, 2, 4)[descriptor & 3]
    return int.from_bytes(head[start : start + size], "little")
