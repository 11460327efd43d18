"""What a user sees: `hornbook tokens` and `hornbook tokenizer compare`."""

import json
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from rich.console import Console

from hornbook import show
from hornbook.cli import commands
from tests.tokenizer.samples import trained

RUSSIAN = "Съешь же ещё этих мягких французских булок да выпей чаю, мой друг.\n"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = []
    for pattern in ("gpt4", "gpt2"):
        folder = tmp_path_factory.mktemp(pattern)
        trained(pattern).save(folder)
        found.append(str(folder))
    return found


def shown(*arguments: str, text: str = "") -> str:
    wide = Console(width=200, highlight=False)
    with patch.object(show, "console", wide):  # a console keeps its first width
        result = CliRunner().invoke(commands, arguments, input=text)
    assert result.exit_code == 0, result.output
    return result.output


def test_tokens_shows_pieces_and_ids(folders):
    output = shown("tokens", "return [bold]", "--with", folders[0])
    ids = trained("gpt4").encode("return [bold]")
    assert all(str(token) in output for token in ids)
    assert f"{len(ids)} tokens, 13 bytes" in output
    assert output == shown("tokens", "-", "--with", folders[0], text="return [bold]")


def test_compare_measures_sources_and_languages_side_by_side(folders, tmp_path):
    text = tmp_path / "story.txt"
    text.write_text(RUSSIAN * 20)
    output = shown("tokenizer", "compare", *folders, "--on", str(text))
    for row in ("language ru", "source story.txt", "longest unused", "unused here"):
        assert row in output
    table = json.loads(
        shown("tokenizer", "compare", *folders, "--on", str(text), "--json")
    )
    assert list(table) == folders
    for card, pattern in zip(table.values(), ("gpt4", "gpt2"), strict=True):
        language, source = card["measures"]
        assert (language["label"], source["label"]) == (
            "language ru",
            "source story.txt",
        )
        assert language["tokens"] == len(trained(pattern).encode(RUSSIAN * 20))
        assert card["n_unused"] > 0
