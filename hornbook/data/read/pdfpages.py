"""The lines of a PDF's pages, by PDFium, which is written in C++: read in other processes."""

from typing import Any

MAX_PAGES = 10_000
MAX_CHARACTERS = 64 << 20  # of text: a small file can show one long text on many pages
HYPHEN = (
    "\x02"  # PDFium's mark for one at a line's end, behind which it begins no new line
)


BoxedLine = tuple[str, float, float, float, float]


def page_lines(raw: bytes) -> list[list[BoxedLine]]:
    """Of each page its lines: text, left, bottom, right, top, in points.

    Raises whatever the library does.
    """
    import pypdfium2

    document = pypdfium2.PdfDocument(raw)
    pages: list[list[BoxedLine]] = []
    left = MAX_CHARACTERS
    for number in range(min(len(document), MAX_PAGES)):
        page = document[number]
        text = page.get_textpage()
        left -= text.count_chars()
        if left < 0:
            raise ValueError(f"more than {MAX_CHARACTERS >> 20} Mi characters")
        pages.append(_lines(text, pypdfium2.raw.FPDFText_GetUnicode))
        page.close()
    return pages


def _lines(text: Any, character_at: Any) -> list[BoxedLine]:
    """The lines of a page, each with the box from its first to its last character."""
    codes = [character_at(text.raw, n) for n in range(text.count_chars())]
    characters = ["" if code in (0, 0xFFFE) else chr(code) for code in codes]
    lines: list[BoxedLine] = []
    start = 0
    for end, character in enumerate([*characters, "\n"]):
        if character not in ("\n", HYPHEN):
            continue
        line = "".join(characters[start:end])
        if line.strip():
            seen = [n for n in range(start, end) if characters[n].strip()]
            first, last = (text.get_charbox(n, loose=True) for n in (seen[0], seen[-1]))
            bottom, top = min(first[1], last[1]), max(first[3], last[3])
            words = " ".join(_whole(line).split())
            hyphen = HYPHEN if character == HYPHEN else ""
            lines.append((words + hyphen, first[0], bottom, last[2], top))
        start = end + 1
    return lines


def _whole(text: str) -> str:
    """``text`` with pairs of surrogates made the characters they stand for."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
