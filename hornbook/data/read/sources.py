"""Where text comes from: which files a source holds, in a fixed order, and their fingerprint.

This file only finds files; :mod:`hornbook.data.read.formats` reads what is in them.
"""

import errno
import os
import stat
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

import xxhash

from hornbook.core.errors import UserError
from hornbook.data.config import DataConfig
from hornbook.data.read.config import (
    CommonCrawlSource,
    CrawlSource,
    FilesSource,
    GitSource,
    HubSource,
    Source,
    StdlibSource,
)

# Folders of the standard library that hold no code of its own, and those with its tests.
NOT_STDLIB = {"site-packages", "dist-packages", "__pycache__"}
STDLIB_TESTS = {"test", "tests", "idle_test"}

BUFFER = 1 << 16  # bytes read at once, and what a format may be told from

Skip = Callable[[str, str], None]  # (path, reason)
# (path, facts): what is known of a document before it is read out, its url, licence, language
Note = Callable[[str, dict[str, str]], None]


@dataclass(frozen=True)
class SourceFile:
    """A file of a source; ``path`` is relative to it and part of the document's id."""

    source: str
    path: str
    file: Path
    first: int = (
        1  # the number of its first line or row, if it is part of a larger file
    )
    groups: tuple[int, int] | None = None  # row groups of a Parquet file, if not all

    def size(self) -> int:
        """How many bytes it holds; raises :class:`OSError` where it has vanished."""
        return self.file.stat().st_size

    def state(self) -> str:
        """Changes when the content does; raises :class:`OSError` where it has vanished."""
        status = self.file.stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    def open(self) -> IO[bytes]:
        """Its bytes; raises :class:`OSError`, also for a pipe or a device."""
        return open_regular(self.file)


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading, but nothing that could make a reader wait forever."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb", BUFFER)


def find_files(source: Source, skip: Skip) -> Iterator[SourceFile]:
    """The files of a source, sorted by path; strays go to ``skip``.

    Those of a remote source are fetched as they are asked for. Raises :class:`UserError`
    where the source is missing or holds nothing that matches.
    """
    if isinstance(source, StdlibSource):
        yield from _stdlib_files(source)
    elif isinstance(source, GitSource):
        from hornbook.data.read.repository import find_code

        yield from find_code(source, skip)
    elif isinstance(source, CommonCrawlSource):
        from hornbook.data.web.commoncrawl import fetch_archives

        yield from fetch_archives(source, skip)
    elif isinstance(source, HubSource):
        from hornbook.data.web.hub import fetch_dataset

        yield from fetch_dataset(source, skip)
    else:
        yield from _files(source, skip)


def probe(config: DataConfig) -> dict[str, Any]:
    """A small fingerprint of everything outside the run that its documents depend on.

    Two equal results mean that the sources have not changed (by size and time of change).
    Raises :class:`UserError` as :func:`find_files` does, and for two sources of one name.
    """
    check_names(config)
    return {source_name(source): _probe(source) for source in config.sources}


def check_names(config: DataConfig) -> None:
    """Refuse two sources of one name, whose documents could not be told apart.

    And an order of sources with one that is not there.
    """
    names = [source_name(source) for source in config.sources]
    if not names:
        raise UserError("The recipe names no [[data.sources]].")
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"Two data.sources are named '{name}'; give one of them another 'name'."
            )
    for name in config.dedup.source_order:
        if name not in names:
            raise UserError(
                f"data.dedup.source_order names '{name}', and no source goes by that name; "
                f"there are {', '.join(names)}."
            )


def source_name(source: Source) -> str:
    """The name a source goes by: its own, or the last part of its path."""
    if source.name or isinstance(source, StdlibSource):
        return source.name
    if isinstance(source, CommonCrawlSource):
        return source.crawl or Path(source.urls).stem
    if isinstance(source, HubSource):
        return source.repo.rpartition("/")[2]
    return Path(source.path).resolve().name.removesuffix(".git")


def _probe(source: Source) -> dict[str, Any]:
    if isinstance(source, CommonCrawlSource | HubSource):
        return _probe_remote(source)
    count = total = 0
    digest = xxhash.xxh3_128()
    for found in find_files(source, lambda path, reason: None):
        try:
            size, state = found.size(), found.state()
        except OSError:  # it vanished just now; reading will report it
            continue
        count += 1
        total += size
        digest.update(
            f"{found.path}\0{state}".encode("utf-8", "surrogateescape") + b"\n"
        )
    facts = {"files": count, "bytes": total, "fingerprint": digest.hexdigest()}
    if isinstance(source, StdlibSource):
        return facts | {
            "python": sys.version,
            "path": sysconfig.get_paths()["stdlib"],
            "include_tests": source.include_tests,
        }
    return facts


def _probe_remote(source: CommonCrawlSource | HubSource) -> dict[str, Any]:
    """Nothing is fetched for a plan: what is named by an id or a commit does not change."""
    if isinstance(source, CommonCrawlSource):
        from hornbook.data.web.commoncrawl import check, listed_urls

        check(source)
        urls = listed_urls(source)
        return {"urls": xxhash.xxh3_128_hexdigest(repr(urls).encode())}
    return {"repo": source.repo, "revision": source.revision}


def _stdlib_files(source: StdlibSource) -> Iterator[SourceFile]:
    root = Path(sysconfig.get_paths()["stdlib"])
    excluded = NOT_STDLIB if source.include_tests else NOT_STDLIB | STDLIB_TESTS
    found = False
    for file in walk(root, lambda path, reason: None, excluded):
        if file.suffix == ".py":
            found = True
            yield SourceFile(source.name, file.relative_to(root).as_posix(), file)
    if not found:
        raise UserError(
            f"This interpreter's standard library ({root}) holds no .py files; use another "
            "Python, or a source of kind 'files'."
        )


def _files(source: FilesSource | CrawlSource, skip: Skip) -> Iterator[SourceFile]:
    if isinstance(source, FilesSource):
        _check_encoding(source.encoding)
    root, name = Path(source.path).expanduser(), source_name(source)
    if root.is_file():
        yield SourceFile(name, root.name, root)
        return
    if not root.is_dir():
        raise UserError(
            f"data.sources: there is no file or folder '{source.path}' "
            f"(looked in {root.absolute()})."
        )
    strays, found = 0, False
    for file in walk(root, skip):
        path = file.relative_to(root).as_posix()
        if any(fnmatch(file.name, pattern) for pattern in source.include):
            found = True
            yield SourceFile(name, path, file)
        else:
            strays += 1
            skip(path, "no pattern of 'include' matches")
    if not found:
        raise UserError(
            f"data.sources: '{source.path}' holds no file that matches "
            f"{', '.join(source.include)} ({strays} others); set 'include' or another 'path'."
        )


def _check_encoding(encoding: str) -> None:
    try:
        "".encode(encoding or "utf-8")
    except LookupError:  # codecs that are none of text too, as "hex"
        raise UserError(
            f"data.sources: unknown 'encoding' '{encoding}'; use one of Python's names, as "
            "utf-16, koi8-r, shift_jis, gb18030, cp1251."
        ) from None


def walk(root: Path, skip: Skip, excluded: set[str] = frozenset()) -> Iterator[Path]:  # type: ignore[assignment]
    """Every file below ``root`` in sorted order; each folder is entered once.

    Links to folders are followed, but one that leads back to a folder already seen is
    skipped, so a loop ends.
    """
    seen: set[tuple[int, int]] = set()

    def visit(folder: Path) -> Iterator[Path]:
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                skip(_shown(folder, root), "folder seen already (a link to it)")
                return
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            skip(_shown(folder, root), f"folder cannot be read ({error.strerror})")
            return
        for entry in found:
            path = Path(entry.path)
            if path.is_dir():
                if entry.name not in excluded:
                    yield from visit(path)
            elif path.is_file():
                yield path
            else:
                skip(_shown(path, root), "not a regular file (or a broken link)")

    yield from visit(root)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() or "."
