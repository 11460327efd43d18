"""Files that are whole or absent, never half-written.

Everything the project writes goes through a temporary name beside its final place and
one rename, so a kill, a full disk or Ctrl-C leaves either the old state or the new one.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from hornbook.core.errors import UserError


@contextmanager
def atomic_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file that becomes ``path`` when the block ends without an error."""
    temporary = path.with_name(f"{path.name}.partial")
    try:
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    with atomic_file(path, "w") as handle:
        handle.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, in one step."""
    with atomic_file(path) as handle:
        handle.write(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or damaged one is a :class:`UserError` that names it."""
    try:
        return msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except msgspec.DecodeError as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); it may be damaged."
        ) from None


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def publish_directory(temporary: Path, final: Path) -> None:
    """Move a finished directory into its final place, replacing what was there.

    Files are synced first. An old ``final`` is moved aside before the rename and removed
    after it, so at no moment does ``final`` hold a mixture.
    """
    for path in temporary.rglob("*"):
        if path.is_file():
            sync(path)
    sync(temporary)
    old = final.with_name(f"{final.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if final.exists():
        os.rename(final, old)
    os.rename(temporary, final)
    sync(final.parent)
    if old.exists():
        shutil.rmtree(old)


def sync(path: Path) -> None:
    """Ask the operating system to put a file or directory on the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fresh_directory(path: Path) -> Path:
    """An empty directory at ``path``; whatever an interrupted run left there is removed."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path
