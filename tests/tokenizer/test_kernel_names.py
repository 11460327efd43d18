"""Kernels compiled in different processes do not take one another's place in a third."""

import json
import os
import subprocess
import sys

import pytest

from hornbook.tokenizer.kernels import scanners


def test_every_loop_made_by_the_same_lines_has_a_name_of_its_own():
    loops = ("gpt2_ends", "gpt4_ends", "llama3_ends", "o200k_ends", "whole_ends")
    for name in loops:
        assert getattr(scanners, name).py_func.__qualname__ == name


@pytest.mark.slow
def test_patterns_compiled_apart_still_split_as_they_do(tmp_path):
    """Fresh cache; gpt4's kernels by one process, gpt2's by another, both in a third."""
    script = (
        "import json, sys\n"
        "from hornbook.tokenizer.config import TokenizerConfig\n"
        "from hornbook.tokenizer.train import train_tokenizer\n"
        "found = {}\n"
        "for pattern in sys.argv[1:]:\n"
        "    config = TokenizerConfig(vocab_size=265, pattern=pattern)\n"
        "    text = '0000 0000 a 0000 ' * 4000\n"
        "    found[pattern] = train_tokenizer(config, [text]).encode('0000 0000')\n"
        "print(json.dumps(found))\n"
    )

    def run(*patterns: str) -> dict[str, list[int]]:
        done = subprocess.run(
            [sys.executable, "-c", script, *patterns],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    apart = run("gpt4") | run("gpt2")
    assert apart["gpt4"] != apart["gpt2"]  # digits by threes, or all together
    assert run("gpt4", "gpt2") == apart
    assert run("gpt2", "gpt4") == apart
