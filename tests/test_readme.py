"""The README says what was measured, and names commands and files that exist."""

import importlib.util
import re
from pathlib import Path

import pytest

from hornbook.cli import commands
from hornbook.recipe import shipped_recipes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_table_of_results_is_what_the_bench_wrote():
    spec = importlib.util.spec_from_file_location(
        "readme", ROOT / "bench" / "readme.py"
    )
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    if not (readme.RESULTS / "hello.json").exists():
        pytest.fail("bench/results/hello.json is missing; run `python bench/hello.py`")
    assert readme.START + readme.table() + readme.END in README
    assert (ROOT / "docs" / "measured.md").read_text() == readme.measured()


def test_every_command_and_recipe_named_exists():
    for name in re.findall(r"hornbook (\w+)", README):
        assert name in commands.commands or name in {"run", "and"}, name
    for name in re.findall(r"hornbook run (\w+)(?![.\w])", README):
        assert name in shipped_recipes() or name == "my", name


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
