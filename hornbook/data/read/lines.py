"""Hard-wrapped text to paragraphs of one line each, with verse, lists and code left alone.

The test is the one a typesetter would make: a line break is mere wrapping if the next word
would not have fitted. Verse, code and headings break while there is still room.
"""

import re
import unicodedata
from itertools import pairwise

MIN_WIDTH, MAX_WIDTH = 40, 100  # characters; outside them nobody wraps prose
SLACK = 6  # characters a hand-made line may stay below the width
MIN_FULL = 0.8  # of a paragraph's breaks: a hyphen or a long word may spoil some
SHORT = 0.75  # of the width: a line that ends here, with room left, means to
SAMPLE = 20_000  # lines that tell the width

BETWEEN = re.compile(r"(\n(?:[ \t]*\n)+|\n[ \t]*\Z)")
ITEM = re.compile(r"\s*(?:[-*+•‣◦]|\(?\d{1,3}[.)]|\(?[a-z][.)]|[ivxlc]{1,6}[.)])\s")
NOT_PROSE = re.compile(  # tables, code, quotations, markup
    r"\t|\S {3,}\S|\|.*\||[{};\\]\s*$|^\s*(?:[>|#%]|//|/\*|```|~~~|\.\. |</?\w+>|\$ )"
)


def join_lines(text: str) -> str:
    """``text`` with the line breaks inside hard-wrapped paragraphs made blanks.

    A text that is not hard-wrapped comes back as it is.
    """
    width = wrap_width(text)
    if not width:
        return text
    parts = BETWEEN.split(text)  # paragraphs, and between them what parts them
    parts[::2] = [_joined(paragraph, width) for paragraph in parts[::2]]
    return "".join(parts)


def wrap_width(text: str) -> int:
    """The width a text is wrapped to, in characters; 0 when it is not."""
    lines = text.split("\n", SAMPLE)[:SAMPLE]
    lengths = sorted(
        len(line) for line, after in pairwise(lines) if line and after.strip()
    )
    if not lengths:
        return 0
    width = lengths[int(0.98 * (len(lengths) - 1))]
    return width if MIN_WIDTH <= width <= MAX_WIDTH else 0


def _joined(paragraph: str, width: int) -> str:
    lines = paragraph.split("\n")
    if len(lines) < 2 or not _is_prose(lines):
        return paragraph
    pairs = list(pairwise(lines))
    full = sum(_is_full(line, after, width) for line, after in pairs)
    if full < MIN_FULL * len(pairs):
        return paragraph
    joined = lines[0].rstrip()
    for line, after in pairs:
        own = len(line) < SHORT * width and not _is_full(line, after, width)
        joined += ("\n" if own else _between(joined[-2:], after)) + after.rstrip()
    return joined


def _is_prose(lines: list[str]) -> bool:
    """No list, table, code or quotation; only the first line may be set in."""
    return not any(
        line[:1].isspace() or ITEM.match(line) or NOT_PROSE.search(line)
        for line in lines[1:]
    ) and not (ITEM.match(lines[0]) or NOT_PROSE.search(lines[0]))


def _is_full(line: str, after: str, width: int) -> bool:
    word = after.split(maxsplit=1)[0]
    return len(line.rstrip()) + 1 + len(word) > width - SLACK


def _between(end: str, line: str) -> str:
    """What stands for the line break: nothing after a dash or hyphen, or between ideographs."""
    if end.endswith(("--", "—")) or (end[-1:] == "-" and end[:1].isalpha()):
        return ""
    return "" if _is_wide(end[-1:]) and _is_wide(line[:1]) else " "


def _is_wide(character: str) -> bool:
    wide = bool(character) and unicodedata.east_asian_width(character) in "WF"
    return wide and not "\uac00" <= character <= "\ud7a3"  # Korean has blanks
