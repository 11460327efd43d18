"""docs/data-sources.md says what is so: every recipe in it is valid, every figure measured."""

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from hornbook.core.settings import parse
from hornbook.data.config import DataConfig
from hornbook.data.read.config import Source

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/data-sources.md").read_text()
RECIPES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_valid(recipe):
    table = tomllib.loads(recipe)["data"]
    table.setdefault("sources", [{"kind": "python-stdlib"}])
    parse(DataConfig, table, "the page")


def test_every_kind_of_source_but_the_simplest_is_shown():
    kinds = {kind.__struct_config__.tag for kind in Source.__args__}
    shown = {
        s["kind"] for r in RECIPES for s in tomllib.loads(r)["data"].get("sources", [])
    }
    assert shown == kinds - {"python-stdlib"}


def test_the_table_of_masks_is_what_the_bench_wrote():
    result = json.loads((ROOT / "bench/results/masking.json").read_text())
    shown = PAGE.partition("<!-- masking -->")[2].partition("<!-- /masking -->")[0]
    for name, measured in result["measured"].items():
        numbers = " | ".join(map(str, measured["masked"].values()))
        assert f"| {name} | {measured['MB']} | {numbers} |" in shown


def test_settings_named_in_the_text_exist():
    fields = {f.name for kind in Source.__args__ for f in msgspec.structs.fields(kind)}
    assert {"gutenberg", "join_lines", "wat_titles", "base_url", "text_key"} <= fields
