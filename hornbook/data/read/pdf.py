"""Text of PDF files: pages without running heads, lines joined to paragraphs again.

A PDF holds glyphs at places, not text. PDFium says which stand on a line; what is done
here is what a reader does without noticing: pass over the page's head and number, and read
on where a line, a word or a page ends in the middle of a paragraph.
"""

import importlib.util
import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from hornbook.core.errors import UserError
from hornbook.data.read.pdfpages import HYPHEN, page_lines

EDGE_LINES = 2  # at the top and the bottom of a page, that may be a running head
MIN_PAGES, MIN_SHARE = 3, 0.3  # on which such a line stands: odd and even pages differ
GAP = 1.3  # times the usual distance of lines: more parts paragraphs
HYPHENS = (HYPHEN, "\xad", "-")
BROKEN = re.compile(rf"(\w+){HYPHEN}(\w+)")
ENDS = tuple(".!?:\"'”’»)")
ITEM = re.compile(r"(?:[-•–*▪◦‣]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")


class Line(NamedTuple):
    """A line of a page and the box around it, in points from the lower left corner."""

    text: str
    left: float
    bottom: float
    right: float
    top: float

    @property
    def middle(self) -> float:
        """Its height on the page."""
        return (self.bottom + self.top) / 2

    @property
    def letter(self) -> float:
        """The mean width of its characters."""
        return (self.right - self.left) / max(len(self.text), 1)


Page = list[Line]


class BadPdf(Exception):
    """A file no text comes out of; the message says why."""


def pdf_text(raw: bytes) -> str:
    """The text of a PDF; raises :class:`BadPdf`, and :class:`UserError` without PDFium."""
    if importlib.util.find_spec("pypdfium2") is None:
        raise UserError(
            "Reading PDF files needs the package pypdfium2: pip install 'hornbook[pdf]'."
        )
    try:
        pages = page_lines(raw)
    except Exception as error:  # whatever a hostile file provokes in the library
        raise BadPdf(f"a PDF that cannot be read ({error})") from None
    text = join_pages([[Line(*line) for line in page] for page in pages])
    if not text.strip():
        raise BadPdf("a PDF without text (pictures of pages need recognition)")
    return text


def join_pages(pages: list[Page]) -> str:
    """The paragraphs of all pages, a line each."""
    pages = without_running_heads(pages)
    pitch = _usual_distance(pages)
    paragraphs: list[str] = []
    before: tuple[Line, float] | None = None  # and the right edge of its column
    for page in pages:
        for line in page:
            if before and _goes_on(*before, line, pitch):
                paragraphs[-1] = _joined(paragraphs[-1], line.text)
            else:
                paragraphs.append(line.text)
            before = line, _edge(line, page)
    return mend_hyphens("\n".join(paragraphs))


def without_running_heads(pages: list[Page]) -> list[Page]:
    """The lines of each page but for heads, feet and page numbers.

    They stand at the same edge of many pages and differ in nothing but numbers.
    """
    if len(pages) < MIN_PAGES:
        return pages
    heads = Counter(key for page in pages for key in set(_edges(page).values()))
    enough = max(MIN_PAGES, MIN_SHARE * len(pages))
    running = {key for key, count in heads.items() if count >= enough}
    return [_body(page, running) for page in pages]


def _body(page: Page, running: set[tuple[str, str]]) -> Page:
    """A page from the first to the last line that is not a running one."""
    edges = _edges(page)
    start, end = 0, len(page)
    while start < min(EDGE_LINES, end) and edges[start] in running:
        start += 1
    while end > max(start, len(page) - EDGE_LINES) and edges[end - 1] in running:
        end -= 1
    return page[start:end]


def _edges(page: Page) -> dict[int, tuple[str, str]]:
    """Line number -> (which edge, the line with its numbers made alike)."""
    top = {n: ("top", _alike(page[n].text)) for n in range(min(EDGE_LINES, len(page)))}
    last = range(max(EDGE_LINES, len(page) - EDGE_LINES), len(page))
    return top | {n: ("bottom", _alike(page[n].text)) for n in last}


def _alike(text: str) -> str:
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", " ".join(text.split()))


def _usual_distance(pages: list[Page]) -> float:
    """The median distance from a line to the one below it."""
    steps = sorted(
        step
        for page in pages
        for line, after in pairwise(page)
        if (step := line.middle - after.middle) > 0
    )
    return steps[len(steps) // 2] if steps else 0.0


def _edge(line: Line, page: Page) -> float:
    """How far the lines of a line's column reach to the right."""
    return max(o.right for o in page if o.left < line.right and line.left < o.right)


def _goes_on(line: Line, edge: float, after: Line, pitch: float) -> bool:
    """Whether a paragraph goes on from a line to the one after it.

    It does if the next word would not have fitted; not over a gap, nor into an indented
    line or an item of a list. The next column or page is no gap.
    """
    if ITEM.match(after.text):
        return False
    step = line.middle - after.middle
    if step > GAP * pitch:
        return False
    beside = step > 0 and after.left < line.right
    indented = after.left > line.left + 1.5 * after.letter
    if beside and indented and not ITEM.match(line.text):
        return False
    if line.text.endswith(HYPHENS[:2]):
        return True
    if not beside and line.text.endswith(ENDS):
        return False  # the next page begins: rather two paragraphs than two in one
    word = after.text.split(maxsplit=1)[0]
    return edge - line.right < (len(word) + 1) * after.letter


def _joined(text: str, more: str) -> str:
    if text.endswith(HYPHENS) and text[-2:-1].isalpha() and more[:1].islower():
        return text[:-1] + HYPHEN + more
    return f"{text.rstrip(''.join(HYPHENS[:2]))} {more}"


def mend_hyphens(text: str) -> str:
    """Words broken at line ends made whole; those with a hyphen of their own keep it."""
    compounds = set(re.findall(r"\w+-\w+", text))

    def whole(match: re.Match[str]) -> str:
        compound = f"{match[1]}-{match[2]}"
        return compound if compound in compounds else match[1] + match[2]

    return BROKEN.sub(whole, text).replace(HYPHEN, "").replace("\xad", "")
