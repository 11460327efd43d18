"""Work on hostile input in a process of its own, which ends by itself when it takes too long.

A library that loops, crashes or eats memory on one bad file then costs that file alone. The
limits are the operating system's: an alarm signal, which no loop in C can put off, and a
bound on the address space. So nothing outlives a parent that was killed either.
"""

import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Any

import msgspec

LENGTH = struct.Struct("<Q")  # before every message


class Killed(Exception):
    """The work was ended, or ended itself; the message says how."""


class Killable:
    """Calls a module that :func:`serve`\\ s, in a child process that is started when needed."""

    def __init__(self, module: str, seconds: int, memory: int) -> None:
        self._command = [sys.executable, "-m", module, str(seconds), str(memory)]
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, raw: bytes) -> Any:
        """What the module's function makes of ``raw``; raises :class:`Killed`.

        An error that the function raised comes back as ``{"error": message}``.
        """
        child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            _send(child.stdin, raw)
            answer = _receive(child.stdout)
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise Killed(self._end())
        return msgspec.json.decode(answer)

    def _start(self) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._child = subprocess.Popen(
            self._command, stderr=subprocess.DEVNULL, **pipes
        )
        return self._child

    def _end(self) -> str:
        """Forget a child that has ended, and say what ended it."""
        assert self._child is not None
        child, self._child = self._child, None
        child.kill()
        child.communicate()
        status = child.returncode
        if status == -signal.SIGALRM:
            return f"longer than {self._seconds} s"
        return (
            "crashed" if status in (-signal.SIGSEGV, -signal.SIGABRT) else "ended early"
        )

    def close(self) -> None:
        """End the child, if there is one."""
        if self._child:
            self._end()


def serve(function: Callable[[bytes], Any]) -> None:
    """The child's side: answer every message with what ``function`` makes of it."""
    seconds, memory = map(int, sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # libraries may print
    while (raw := _receive(sys.stdin.buffer)) is not None:
        signal.alarm(seconds)
        try:
            answer = function(raw)
        except MemoryError:
            answer = {"error": f"needs more than {memory >> 20} MiB of memory"}
        except Exception as error:  # whatever hostile input provokes in a library
            answer = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        signal.alarm(0)
        _send(answers, msgspec.json.encode(answer))


def _send(pipe: IO[bytes], raw: bytes) -> None:
    pipe.write(LENGTH.pack(len(raw)))
    pipe.write(raw)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    raw = pipe.read(length)
    return raw if len(raw) == length else None
