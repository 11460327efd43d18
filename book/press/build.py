"""The press: from chapters, source and measurements to ``dist/hornbook.pdf``.

    python -m book.press.build [--out FILE] [--only 05]

Warnings are errors. Nothing is downloaded; the fonts come from the typst wheel and from
two packages of the ``book`` extra. The same tree gives the same bytes.
"""

import argparse
import sys
import time
from functools import cache
from importlib import import_module
from pathlib import Path

import msgspec
import typst

from book.press.extract import ROOT, listings
from book.press.facts import facts, references
from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file

STANDARDS = ("a-2b",)


@cache
def inputs() -> dict[str, str]:
    """What the templates get beside the files they read."""
    return {
        "listings": msgspec.json.encode(listings()).decode(),
        "facts": msgspec.json.encode(facts()).decode(),
        "references": references(),
    }


def fonts() -> typst.Fonts:
    """Those in the typst wheel and the two of the ``book`` extra, no others."""
    folders = []
    for name in ("fontpkg_source_sans_3", "fontpkg_jetbrains_mono"):
        try:
            folders.append(str(Path(import_module(name).__file__ or "").parent))
        except ModuleNotFoundError:
            raise UserError(
                "The book's fonts are missing: pip install 'hornbook[book]'"
            ) from None
    return typst.Fonts(include_system_fonts=False, font_paths=folders)


def compiler(only: str = "") -> typst.Compiler:
    """A compiler of the book, or of the chapter whose file name begins with ``only``."""
    return typst.Compiler(
        ROOT / "book" / "book.typ",
        root=ROOT,
        font_paths=fonts(),
        sys_inputs={**inputs(), "only": only},
    )


def compile_book(book: typst.Compiler) -> tuple[bytes, list[str]]:
    """The PDF and the compiler's warnings; a book that may be printed has none."""
    pdf, warnings = book.compile_with_warnings(
        format="pdf", timestamp=0, pdf_standards=list(STANDARDS)
    )
    assert isinstance(pdf, bytes)
    return pdf, [warning.diagnostic for warning in warnings]


def build(out: Path, only: str = "") -> None:
    """Write the PDF, saying what happens. Raises :class:`UserError` on any warning."""
    start = time.perf_counter()
    _say("cutting listings from the source")
    gathered = inputs()
    _say(f"setting type ({len(gathered['listings']) // 1000} kB of source at hand)")
    try:
        pdf, warnings = compile_book(compiler(only))
    except typst.TypstError as error:
        raise UserError(f"The book does not compile.\n{error.diagnostic}") from None
    if warnings:
        raise UserError("The book compiles with warnings.\n" + "\n".join(warnings))
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out) as handle:
        handle.write(pdf)
    seconds = time.perf_counter() - start
    _say(f"{out}: {len(pdf) / 1e6:.1f} MB, no warnings, {seconds:.1f} s")


def _say(what: str) -> None:
    print(f"book: {what}", file=sys.stderr, flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the book.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "hornbook.pdf")
    parser.add_argument("--only", default="", help="begin of a chapter's file name: 05")
    arguments = parser.parse_args()
    try:
        build(arguments.out, arguments.only)
    except UserError as error:
        sys.exit(f"book: {error}")


if __name__ == "__main__":
    main()
