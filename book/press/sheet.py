"""Pages as pictures, for looking at them.

    python -m book.press.sheet dist/hornbook.pdf OUT [--pages 12-25] [--dpi 110]

Writes ``page-012.png`` … and one contact sheet of all of them, ``sheet.png``.
"""

import argparse
from pathlib import Path

import pymupdf

COLUMNS, THUMB = 6, 34  # pages in a row of the sheet, and its resolution in dpi


def pictures(pdf: Path, out: Path, first: int, last: int, dpi: int) -> list[Path]:
    """Draw pages ``first`` to ``last`` (from 1) and their contact sheet into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with pymupdf.open(pdf) as document, pymupdf.open() as sheet:
        numbers = range(first - 1, min(last or len(document), len(document)))
        for number in numbers:
            path = out / f"page-{number + 1:03d}.png"
            document[number].get_pixmap(dpi=dpi).save(path)
            written.append(path)
        if written:
            width, height = document[0].rect.width + 8, document[0].rect.height + 8
            rows = -(-len(numbers) // COLUMNS)
            page = sheet.new_page(width=COLUMNS * width, height=rows * height)
            page.draw_rect(page.rect, fill=(0.6, 0.6, 0.6), color=None)
            for place, number in enumerate(numbers):
                x, y = (place % COLUMNS) * width + 4, (place // COLUMNS) * height + 4
                box = pymupdf.Rect(x, y, x + width - 8, y + height - 8)
                page.draw_rect(box, fill=(1, 1, 1), color=None)
                page.show_pdf_page(box, document, number)
            path = out / "sheet.png"
            page.get_pixmap(dpi=THUMB).save(path)
            written.append(path)
    return written


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Draw the pages of a PDF.")
    parser.add_argument("pdf", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pages", default="1-")
    parser.add_argument("--dpi", type=int, default=110)
    arguments = parser.parse_args()
    first, _, last = arguments.pages.partition("-")
    last = int(last or 0) if "-" in arguments.pages else int(first)
    for path in pictures(
        arguments.pdf, arguments.out, int(first or 1), last, arguments.dpi
    ):
        print(path)


if __name__ == "__main__":
    main()
