"""Kernels compiled in a second process, so that two cores work when the cache is empty.

Numba compiles one function at a time in a process. What the second process compiles, this
one finds in the cache on disk. Where no process can be started, or it fails, nothing is
lost: a kernel that is in no cache is compiled when it is called.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from numba import types
from numba.core import sigutils

from hornbook.tokenizer.base import usable_cores
from hornbook.tokenizer.kernels import encode, jit, learn, scanners

FILES = {  # what a unit of work leaves in the cache
    "merging": "learn.run",
    "encoding": "encode.encode_texts",
    **{str(rule): f"scanners.{f.__name__}" for rule, f in scanners.FUNCTIONS.items()},
}
_helpers: list[
    subprocess.Popen[str]
] = []  # held until the end, for who reaps them else?
_promised: dict[str, Iterable[str]] = {}  # units in work, and what their helper prints


def compile_unit(unit: str) -> None:
    """Compile the kernels of ``merging`` or ``encoding``, or a rule's scanner."""
    if unit == "merging":
        learn.run.compile(_types(learn.RUN))
    elif unit == "encoding":
        encode.encode_texts.compile(_types("(int64,)"))
    else:
        scanners.scanner(int(unit))


def _types(signature: str) -> tuple[types.Type, ...]:
    """The argument types as a call would find them, for those name the entry in the cache."""
    return sigutils.normalize_signature(signature)[0]


def start(*units: str) -> None:
    """Let a second process compile what of ``units`` is in no cache, one after the other."""
    cache = Path(jit.CACHE)
    missing = [u for u in units if not any(cache.rglob(f"{FILES[u]}-*.nbi"))]
    if not missing or usable_cores() < 2:
        return
    # The helper finds the package where this process found it.
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", __name__, *missing]
    quiet = subprocess.DEVNULL
    try:
        helper = subprocess.Popen(
            command, env=env, text=True, stdout=subprocess.PIPE, stderr=quiet
        )
    except OSError:
        return
    _helpers.append(helper)
    _promised.update(dict.fromkeys(missing, helper.stdout or ()))


def wait(unit: str) -> None:
    """Return once ``unit`` is compiled, or at once if nobody is compiling it."""
    for line in _promised.pop(unit, ()):
        if line.strip() == unit:
            return


if __name__ == "__main__":
    for name in sys.argv[1:]:
        compile_unit(name)
        print(name, flush=True)
