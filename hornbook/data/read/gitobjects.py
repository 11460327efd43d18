"""What git holds, through its own program: nothing is checked out, no hook or filter runs."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from hornbook.core.errors import UserError

# Mirrors often belong to someone else. Git's distrust of them is about hooks and filters,
# which neither `ls-tree` nor `cat-file` runs.
SETTINGS = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
# A partial clone shall not fetch what it lacks, nor ask for a password.
ENVIRONMENT = {
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",
}


class GitError(Exception):
    """Git says no; the message is its own first line."""


def git(repository: Path, *arguments: str) -> bytes:
    """What ``git ARGUMENTS`` prints in a repository. Raises :class:`GitError`."""
    try:
        done = subprocess.run(
            _command(repository, *arguments), capture_output=True, env=_environment()
        )
    except FileNotFoundError:
        raise UserError(
            "Reading repositories needs the program git; install it, or set "
            'revision = "" to read the files as they lie there.'
        ) from None
    if done.returncode:
        raise GitError(_first_line(done.stderr))
    return done.stdout


class Objects:
    """The objects of a repository by id, handed out by one ``git cat-file --batch``."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self._process = subprocess.Popen(
            _command(repository, "cat-file", "--batch"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )

    def read(self, blob: str, limit: int) -> bytes:
        """The bytes of an object; raises :class:`GitError` where it lacks, is damaged, or
        larger than ``limit``.
        """
        to, answers = self._process.stdin, self._process.stdout
        assert to is not None
        assert answers is not None
        try:
            to.write(blob.encode("ascii") + b"\n")
            to.flush()
            head = answers.readline().split()
            if len(head) != 3:
                raise GitError("the object is missing" if head else "it is damaged")
            size = left = int(head[2]) + 1  # a line end follows the object
            raw = b""
            while left and (block := answers.read(min(left, 1 << 20))):
                left -= len(block)
                raw = raw + block if size <= limit + 1 else b""
        except (OSError, ValueError):
            raise GitError("git ended early") from None
        if left:
            raise GitError("git ended early")
        if size > limit + 1:
            raise GitError(f"larger than {limit} bytes")
        return raw[:-1]

    def alive(self) -> bool:
        """Whether its program still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the program."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # it may have ended with a request unread
                if pipe is not None:
                    pipe.close()
        self._process.wait()

    def __enter__(self) -> "Objects":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


_open: list[Objects] = []  # at most one: files come repository by repository


def blob_bytes(repository: Path, blob: str, limit: int) -> bytes:
    """The bytes of an object; the program that hands them out stays for the next one."""
    if _open and (_open[0].repository != repository or not _open[0].alive()):
        _open.pop().close()
    if not _open:
        _open.append(Objects(repository))
    return _open[0].read(blob, limit)


def _command(repository: Path, *arguments: str) -> list[str]:
    return ["git", *SETTINGS, "-C", str(repository), *arguments]


def _environment() -> dict[str, str]:
    """This process's, without what would point git at another repository."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return kept | ENVIRONMENT


def _first_line(raw: bytes) -> str:
    lines = raw.decode("utf-8", "replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ") if lines else "no reason given"
