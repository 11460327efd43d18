"""Compiling in a second process: what it compiled is found; without it nothing is lost."""

import gc
import os
import subprocess
import sys

import numba

from hornbook.tokenizer.kernels import ahead, jit
from hornbook.tokenizer.kernels.scan import GPT2, WHOLE

COMPILE = """
from hornbook.tokenizer.kernels import ahead, scanners
ahead.usable_cores = lambda: {cores}
ahead.start("{rule}")
print(len(ahead._helpers))
ahead.wait("{rule}")
print(scanners.scanner({rule}).cache_hits)
"""


def compiled_with(cores: int, cache) -> list[str]:
    """How many helpers a process with an empty cache starts, and what it finds after."""
    code = COMPILE.format(cores=cores, rule=WHOLE)
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_what_the_second_process_compiles_is_found_in_the_cache(tmp_path):
    assert compiled_with(2, tmp_path) == ["1", "1"]
    assert compiled_with(2, tmp_path) == ["0", "1"]  # cached now: no process


def test_one_core_compiles_itself(tmp_path):
    assert compiled_with(1, tmp_path) == ["0", "0"]


def test_a_process_that_cannot_start_or_dies_keeps_nobody_waiting(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(ahead.jit, "CACHE", str(tmp_path))
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    ahead.start(str(GPT2))
    ahead.wait(str(GPT2))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    ahead.start(str(GPT2))
    ahead.wait(str(GPT2))


def test_compiling_leaves_garbage_collection_as_it_was():
    compile_unseen = numba.njit(lambda x: x + 1)
    for collecting in (True, False):
        (gc.enable if collecting else gc.disable)()
        try:
            with jit.uncollected:
                assert not gc.isenabled()
                compile_unseen(1 if collecting else 1.0)
                assert not gc.isenabled()
            assert gc.isenabled() == collecting
        finally:
            gc.enable()
