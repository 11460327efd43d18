"""Files over http, with manners: one connection at a time, at a stated pace, and resumed.

A file is written beside its place, goes on where it broke (if the server still has the
same one), and is renamed when it is whole. So what exists is complete, whatever was killed.
"""

import fcntl
import http.client
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any
from urllib import error, request

import msgspec

from hornbook.core.files import atomic_file, sync, write_json

CHUNK = 1 << 18
TIMEOUT = 60.0  # seconds without a byte
MAX_FAILURES = 6  # in a row, without one byte gained between them
MAX_BACKOFF, MAX_RETRY_AFTER = 60.0, 900.0  # seconds
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class DownloadError(Exception):
    """A download that is given up; the message says why."""


class _TryAgain(Exception):
    """Something that may pass.

    ``wait`` is what the server asked for, in seconds; ``have`` how many bytes came so far.
    """

    def __init__(self, why: str, wait: float | None = None, have: int = 0) -> None:
        super().__init__(why)
        self.wait, self.have = wait, have


class Partial(msgspec.Struct):
    """What is known of a file that is being fetched."""

    url: str = ""
    validator: str = ""  # a strong ETag or a date: names one version of the file
    size: int = -1  # -1 where the server does not say


class Downloader:
    """Fetches one thing after the other; ``sleep`` and ``clock`` are seconds."""

    def __init__(
        self,
        user_agent: str,
        requests_per_second: float,
        bytes_per_second: int = 0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._interval = 1 / requests_per_second
        self._bytes_per_second = bytes_per_second
        self._sleep, self._clock = sleep, clock
        self._next_request = 0.0
        self._opener = request.OpenerDirector()  # http alone: no file: or ftp: URLs
        for handler in (
            *(request.ProxyHandler(), request.HTTPHandler(), request.HTTPSHandler()),
            *(request.HTTPRedirectHandler(), request.HTTPErrorProcessor()),
            *(request.HTTPDefaultErrorHandler(), request.UnknownHandler()),
        ):
            self._opener.add_handler(handler)

    def fetch(self, url: str, target: Path) -> None:
        """The file at ``url`` becomes ``target``. Raises :class:`DownloadError`."""
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        with _locked(partial) as file:
            if target.exists():  # another process was faster
                partial.unlink(missing_ok=True)
                return
            self._patiently(lambda: self._go_on(url, file, partial))
            sync(partial)
            os.replace(partial, target)
            _facts(partial).unlink(missing_ok=True)

    def fetch_range(self, url: str, offset: int, length: int, target: Path) -> None:
        """Some bytes of the file at ``url`` become ``target``."""
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        raw = b"".join(self._patiently(lambda: self._part(url, offset, length)))
        with atomic_file(target) as file:
            file.write(raw)

    def _patiently(self, attempt: Callable[[], Any]) -> Any:
        """What ``attempt`` returns, once it does; patience begins anew when it gets further."""
        failures = furthest = 0
        while True:
            try:
                return attempt()
            except _TryAgain as problem:
                failures = 0 if problem.have > furthest else failures + 1
                furthest = max(furthest, problem.have)
                if failures >= MAX_FAILURES:
                    raise DownloadError(f"{problem}, {failures} times") from None
                backoff = min(2.0**failures, MAX_BACKOFF)
                self._sleep(backoff if problem.wait is None else problem.wait)

    def _go_on(self, url: str, file: IO[bytes], partial: Path) -> None:
        known = _read_facts(partial)
        have = file.seek(0, os.SEEK_END)
        if have and (known.url != url or not known.validator):
            have = 0  # no way to know whether it is the same file
        wanted = (
            {"Range": f"bytes={have}-", "If-Range": known.validator} if have else {}
        )
        with self._open(url, wanted) as answer:
            if answer.status == 416 and have == known.size:
                return
            if answer.status == 200:
                have = 0
            elif not _goes_on(answer, have, known):
                file.truncate(0)
                raise _TryAgain("the server does not go on where it stopped")
            if have == 0:
                file.truncate(0)
                known = Partial(url, _validator(answer), _size(answer))
                write_json(_facts(partial), known)
            file.seek(have)
            self._copy(answer, file, have, known.size)

    def _copy(self, answer: Any, file: IO[bytes], have: int, size: int) -> None:
        before, began = have, self._clock()
        try:
            while chunk := _read(answer, CHUNK):
                file.write(chunk)
                have += len(chunk)
                self._throttle(have - before, began)
            if size >= 0 and have != size:
                raise _TryAgain(f"cut off after {have} of {size} bytes")
        except _TryAgain as problem:
            problem.have = have
            raise
        finally:
            file.flush()

    def _part(self, url: str, offset: int, length: int) -> list[bytes]:
        wanted = {"Range": f"bytes={offset}-{offset + length - 1}"}
        with self._open(url, wanted) as answer:
            if answer.status == 416:
                raise DownloadError("no such bytes in the file")
            if answer.status != 206 or _start(answer) != offset:
                raise DownloadError("the server gives no part of a file")
            parts, left, began = [], length, self._clock()
            while left and (chunk := _read(answer, min(CHUNK, left))):
                parts.append(chunk)
                left -= len(chunk)
                self._throttle(length - left, began)
        if left:
            raise _TryAgain(f"cut off after {length - left} of {length} bytes")
        return parts

    @contextmanager
    def _open(self, url: str, headers: dict[str, str]) -> Iterator[Any]:
        now = self._clock()
        if now < self._next_request:
            self._sleep(self._next_request - now)
        self._next_request = self._clock() + self._interval
        try:
            asked = request.Request(url, headers=self._headers | headers)
            answer = self._opener.open(asked, timeout=TIMEOUT)
        except error.HTTPError as refused:
            answer = refused
        except (OSError, http.client.HTTPException, ValueError) as problem:
            reason = getattr(problem, "reason", problem)
            if isinstance(problem, ValueError) or "unknown url" in str(reason):
                raise DownloadError(f"not a URL to fetch ({reason})") from None
            raise _TryAgain(f"no answer ({reason or type(problem).__name__})") from None
        with answer:
            status = answer.status
            if status in TRY_AGAIN:
                raise _TryAgain(f"HTTP status {status}", _retry_after(answer))
            if status not in (200, 206, 416):
                raise DownloadError(f"HTTP status {status}")
            yield answer

    def _throttle(self, sent: int, began: float) -> None:
        if self._bytes_per_second:
            ahead = sent / self._bytes_per_second - (self._clock() - began)
            if ahead > 0:
                self._sleep(ahead)


def _read(answer: Any, size: int) -> bytes:
    try:
        return answer.read(size)
    except (OSError, http.client.HTTPException) as problem:
        raise _TryAgain(f"the connection broke ({type(problem).__name__})") from None


def _goes_on(answer: Any, have: int, known: Partial) -> bool:
    """Whether an answer of some bytes continues the same version of the file."""
    same = _validator(answer) in ("", known.validator)
    return answer.status == 206 and _start(answer) == have and same


def _start(answer: Any) -> int:
    """Where the bytes of a 206 begin; -1 when it does not say."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _size(answer: Any) -> int:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else -1


def _validator(answer: Any) -> str:
    """What a later request may ask ``If-Range`` with: weak tags name no exact bytes."""
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")


def _retry_after(answer: Any) -> float | None:
    """Seconds that a server asks to be left alone; a date is allowed too (RFC 9110)."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _facts(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _read_facts(partial: Path) -> Partial:
    try:
        return msgspec.json.decode(_facts(partial).read_bytes(), type=Partial)
    except (OSError, msgspec.DecodeError):
        return Partial()


@contextmanager
def _locked(partial: Path) -> Iterator[IO[bytes]]:
    """A file to go on writing, for this process alone; others wait."""
    with open(partial, "ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
