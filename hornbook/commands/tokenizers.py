"""Commands that look at tokenizers."""

import sys
from pathlib import Path

import click

from hornbook.commands.options import JSON


@click.command()
@click.argument("text")
@click.option(
    "--with",
    "directory",
    type=click.Path(path_type=Path),
    default=Path("runs/hello"),
    show_default=True,
    help="A run, or a folder with a tokenizer.json.",
)
def tokens(text: str, directory: Path) -> None:
    """Show TEXT split into tokens, in colours, with their ids; - reads it from input."""
    from hornbook.show import show_tokens

    show_tokens(sys.stdin.read() if text == "-" else text, directory)


@click.group()
def tokenizer() -> None:
    """Look at tokenizers."""


@tokenizer.command()
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--on",
    "texts",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A text file to measure on; may be given several times.",
)
@JSON
def compare(
    directories: tuple[Path, ...], texts: tuple[Path, ...], as_json: bool
) -> None:
    """Measure tokenizers (runs, or folders) side by side on the same texts."""
    from hornbook.show import show_tokenizers

    show_tokenizers(directories, texts, as_json)
