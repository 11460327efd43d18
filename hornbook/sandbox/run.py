"""Running a program that a model wrote: what may happen to it, and how it is judged.

The layers, each applied where the system has it and reported: a fresh interpreter with an
empty environment and limits; namespaces (no network, no other processes); Landlock (no files
but Python's own and an empty folder); seccomp (no system calls that reach out). See child.py.
"""

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from hornbook.core.errors import UserError
from hornbook.sandbox.seccomp import seccomp_filter

CHILD = Path(__file__).parent / "child.py"
MAX_OUTPUT = 64 << 10  # bytes of what a program prints
GRACE = 0.5  # seconds beyond the limit for starting and ending
READABLE = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom"),
    sys.base_prefix,
)
Status = Literal["done", "timeout", "output limit", "crash"]


@dataclass(frozen=True)
class Program:
    """What is run, and how it is judged.

    ``program`` is run in a process of its own. ``tests`` is run in another one, where the
    names of ``functions`` stand for the program's functions: calls are passed on, and what
    comes back are plain values. ``helpers`` is run before the tests and is trusted, as they
    are. Without ``functions`` the verdict is whether the program ran to its end.
    """

    program: str
    tests: str = ""
    functions: tuple[str, ...] = ()
    helpers: str = ""


@dataclass(frozen=True)
class Limits:
    """How much a program may use: seconds of the clock, bytes of memory."""

    seconds: float = 3.0
    memory: int = 512 << 20


@dataclass(frozen=True)
class Outcome:
    """What came of a program. ``passed`` needs the checker's word, not an exit code."""

    passed: bool
    status: Status
    error: str = ""
    output: str = ""
    seconds: float = 0.0
    layers: dict[str, bool] = field(default_factory=dict)


def run(program: Program, limits: Limits = Limits()) -> Outcome:
    """Run one program, wait for the verdict, and leave nothing of it behind."""
    secret = secrets.token_hex(16)
    folder = tempfile.mkdtemp(prefix="hornbook-sandbox-")
    os.chmod(folder, 0o777)  # inside, the program is nobody
    started = time.monotonic()
    process, verdict = _start(program, limits, folder, secret)
    try:
        status, output, report = _listen(process, verdict, started + limits.seconds)
    finally:
        _end(process)
        os.close(verdict)
        shutil.rmtree(folder, ignore_errors=True)
    known = _report(report, secret)
    if status == "done" and known is None:
        status = "crash"
    known = known or {}
    return Outcome(
        passed=status == "done" and known.get("passed", False),
        status=status,
        error=known.get("error", ""),
        output=output.decode("utf-8", "replace"),
        seconds=time.monotonic() - started,
        layers=known.get("layers", {}),
    )


def run_all(
    programs: Iterable[Program], limits: Limits = Limits(), workers: int = 0
) -> Iterator[Outcome]:
    """The outcomes of many programs in their order, as many at once as there are cores."""
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        yield from pool.map(lambda program: run(program, limits), programs)


def _start(
    program: Program, limits: Limits, folder: str, secret: str
) -> tuple[subprocess.Popen[bytes], int]:
    """The child, with its job sent; and where its verdict will come from."""
    verdict, verdict_in = os.pipe()
    secret_out, secret_in = os.pipe()
    command = [sys.executable, "-I", "-S", "-B", str(CHILD)]
    process = subprocess.Popen(
        [*command, str(verdict_in), str(secret_out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(verdict_in, secret_out),
        start_new_session=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    os.close(verdict_in)
    os.close(secret_out)
    job = {
        "program": program.program,
        "seconds": limits.seconds,
        "memory": limits.memory,
        "folder": folder,
        "readable": [path for path in READABLE if os.path.exists(path)],
        "filter": seccomp_filter().hex(),
    }
    task = {
        "secret": secret,
        "tests": program.tests,
        "functions": program.functions,
        "helpers": program.helpers,
    }
    assert process.stdin
    _send(process.stdin.fileno(), job)
    process.stdin.close()
    _send(secret_in, task)
    os.close(secret_in)
    return process, verdict


def _send(descriptor: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        pass  # it has died; the verdict will say so


def _listen(
    process: subprocess.Popen[bytes], verdict: int, deadline: float
) -> tuple[Status, bytes, bytes]:
    """Read what is printed and the verdict until both end, too much comes, or time is up."""
    assert process.stdout
    printed = process.stdout.fileno()
    heard = {printed: b"", verdict: b""}
    open_ = set(heard)
    while open_:
        decided = b"\n" in heard[verdict]  # then only what is printed already counts
        left = 0.0 if decided else deadline + GRACE - time.monotonic()
        ready = select.select(list(open_), [], [], max(left, 0))[0]
        if not ready:
            return "done" if decided else "timeout", heard[printed], heard[verdict]
        for descriptor in ready:
            data = os.read(descriptor, 1 << 16)
            if not data:
                open_.discard(descriptor)
            heard[descriptor] += data
        if len(heard[printed]) > MAX_OUTPUT:
            return "output limit", heard[printed][:MAX_OUTPUT], heard[verdict]
    return "done", heard[printed], heard[verdict]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill everything the child has started, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout
    process.stdout.close()


def _report(line: bytes, secret: str) -> dict[str, Any] | None:
    """The checker's report, if the line is one: only the checker knows the secret."""
    try:
        report = json.loads(line)
    except ValueError:
        return None
    known = isinstance(report, dict) and report.get("secret") == secret
    return report if known else None


@cache
def layers() -> dict[str, bool]:
    """Which layers this machine gives, found out by running an empty program."""
    return run(Program("")).layers


def require(unsafe: bool = False) -> dict[str, bool]:
    """The layers; raises :class:`UserError` where a program could reach files or the network.

    That is, unless Landlock and one of namespaces and seccomp are there, or ``unsafe``.
    """
    found = layers()
    closed = found.get("landlock") and (found.get("namespaces") or found.get("seccomp"))
    if not closed and not unsafe:
        missing = [
            name
            for name in ("namespaces", "landlock", "seccomp")
            if not found.get(name)
        ]
        raise UserError(
            f"This system's sandbox lacks {', '.join(missing)}, so code that a model wrote "
            "could reach your files or the network; run it elsewhere, or pass --unsafe."
        )
    return found
