"""Compressed files as plain byte streams that survive damage.

Crawl archives are many small gzip members end to end, so a broken one need not cost the
rest: :meth:`GzipStream.resync` goes on at the next. Nothing is decompressed further than it
is read, so a decompression bomb costs no memory; one is given up early.
"""

import io
import zlib
from typing import IO, Any

import pyarrow as pa

CHUNK = 1 << 16
GZIP, ZSTD, LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
MAX_EXPANSION = 200  # times; text that people wrote shrinks less
HARMLESS = 256 << 20  # bytes that may come out of however few


class BrokenStream(Exception):
    """Damage in a stream: ``offset`` in the file, and what is wrong."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(why)
        self.offset = offset


def open_stream(handle: IO[bytes]) -> io.BufferedIOBase:
    """The decompressed bytes of a file from here on, by what the first of them say it is."""
    start = handle.tell()
    magic = handle.read(4)
    handle.seek(start)
    if magic.startswith(GZIP):
        return io.BufferedReader(GzipStream(handle), CHUNK)
    codec = {ZSTD: "zstd", LZ4: "lz4"}.get(magic)
    # Arrow's decompressors notice a file that ends too early, and limit what a frame may
    # make its reader remember.
    plain = pa.PythonFile(handle, "r")
    inner = pa.CompressedInputStream(plain, codec) if codec else handle
    return io.BufferedReader(Guarded(inner, handle), CHUNK)


def check_expansion(came_out: int, went_in: int) -> None:
    """Stop at a decompression bomb; raises :class:`ValueError`."""
    if came_out > max(HARMLESS, MAX_EXPANSION * went_in):
        raise ValueError(f"it grows more than {MAX_EXPANSION}-fold: a bomb?")


class Guarded(io.RawIOBase):
    """Another reader whose every complaint becomes a :class:`BrokenStream`."""

    def __init__(self, inner: Any, handle: IO[bytes]) -> None:
        self._inner, self._handle = inner, handle
        self._came_out = 0

    def readable(self) -> bool:
        """Always: this is a stream to read."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill ``target``; raises :class:`BrokenStream` at damage."""
        try:
            data = self._inner.read(len(target))
            self._came_out += len(data)
            check_expansion(self._came_out, self._handle.tell())
        except Exception as error:  # each library has its own
            raise BrokenStream(self._handle.tell(), f"broken data ({error})") from None
        target[: len(data)] = data
        return len(data)


class GzipStream(io.RawIOBase):
    """The bytes of all members of a gzip file, one after the other."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._input = b""  # read from the file but not decompressed
        self.first = handle.tell()  # where the first member begins in the file
        self._consumed = self.first  # the place in the file of self._input
        self._member: Any = None
        self.began = False  # did the last bytes read begin a member?
        self.start = self.first  # where the member read last begins
        self._came_out = 0  # bytes, since the last damage
        self._behind_damage = self.first

    def readable(self) -> bool:
        """Always: this is a stream to read."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill ``target``; raises :class:`BrokenStream` at damage."""
        self.began = self._member is None
        while True:
            if self._member is None and not self._next_member():
                return 0
            data = self._decompress(len(target))
            if data:
                target[: len(data)] = data
                return len(data)

    def _next_member(self) -> bool:
        self._refill()
        while self._input.startswith(b"\0"):  # padding that some writers leave
            rest = self._input.lstrip(b"\0")
            self._consumed += len(self._input) - len(rest)
            self._input = rest
            self._refill()
        if not self._input:
            return False
        self.start, self._member = self._consumed, zlib.decompressobj(wbits=31)
        return True

    def _decompress(self, size: int) -> bytes:
        """Up to ``size`` bytes of the current member; none at its end."""
        self._refill()
        if not self._input:
            self._member = None
            raise BrokenStream(self.start, "gzip data cut off")
        try:
            data = self._member.decompress(self._input, size)
            self._came_out += len(data)
            check_expansion(
                self._came_out, self._consumed + CHUNK - self._behind_damage
            )
        except (zlib.error, ValueError) as error:
            raise BrokenStream(self.start, f"broken gzip data ({error})") from None
        ended = self._member.eof
        rest = self._member.unused_data if ended else self._member.unconsumed_tail
        self._consumed += len(self._input) - len(rest)
        self._input = rest
        if ended:
            self._member = None
        return data

    def _refill(self) -> None:
        if not self._input:
            self._input = self._handle.read(CHUNK)

    @property
    def place(self) -> int:
        """Where in the file the member begins that the next bytes come from."""
        return self._consumed if self._member is None else self.start

    def resync(self) -> bool:
        """Go on at the next member behind the broken one; False when there is none."""
        self._consumed = self._behind_damage = self.start + 1
        self._came_out = 0
        self._handle.seek(self._consumed)
        self._input, self._member = b"", None
        while block := self._handle.read(CHUNK):
            data = self._input + block
            at = data.find(GZIP)
            if at >= 0:
                self._consumed += at
                self._input = data[at:]
                return True
            self._consumed += len(data) - (len(GZIP) - 1)
            self._input = data[-(len(GZIP) - 1) :]
        return False
