"""How bench/tokenizer.py measures: the best of some rounds, and processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VOCAB, PATTERN = 32_000, "gpt4"


def clock_of(threads: int) -> Callable[[], float]:
    """Processor time for one thread, so that other work doesn't count; else clock time."""
    return time.process_time if threads == 1 else time.perf_counter


def best(work: Callable[[], Any], rounds: int, threads: int) -> float:
    clock, times = clock_of(threads), []
    for _ in range(rounds):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def in_fresh_process(code: str, *arguments: str, cache: str = "") -> str:
    env = (
        os.environ
        | {"PYTHONPATH": str(ROOT)}
        | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]
