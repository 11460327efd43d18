"""Project Gutenberg's books without what the project wrote around them.

Thirty years of volunteers left many forms of header, "small print", credits and licence;
the marks between them and the book are what they share. A text without such marks comes
back as it is.
"""

import re

FLAGS = re.IGNORECASE | re.MULTILINE
_PROJECT = r"(?:TH(?:E|IS)[ ])?PROJECT[ ]GUTENBERG"
# A title may wrap: the mark goes on to the next asterisks, over three more lines at most.
_REST = r"(?:[^*\n]*(?:\n[^*\n]+){0,3}\*{2,3}[^\n]*|[^\n]*)"
START = re.compile(rf"^[ \t]*\*{{2,3}}[ \t]*START OF {_PROJECT}{_REST}$", FLAGS)
SMALL_PRINT = re.compile(
    r"^[ \t]*\*+[ \t]*END[ \t*]*(?:OF[ ])?THE[ ]SMALL[ ]PRINT[^\n]*$", FLAGS
)
END = re.compile(rf"^[ \t]*\*{{2,3}}[ \t]*END OF {_PROJECT}", FLAGS)
LICENCE = re.compile(r"^[ \t]*\*{2,3}[ \t]*START: FULL LICENSE", FLAGS)
PLAIN_END = re.compile(rf"^[ \t]*(?:THE[ ])?END OF {_PROJECT}", FLAGS)
# Paragraphs between a mark and the book.
CREDIT = re.compile(
    r"\[?(?:produced|scanned|digiti[sz]ed|transcribed|proofed|prepared|html version|updated)"
    r"\s+(?:by|from)\b"
    r"|\[?this\s+(?:e-?text|e-?book|book|file)\s+was\s+(?:\w+\s+){0,3}(?:produced|prepared"
    r"|created|transcribed|scanned|converted)\b"
    r"|\[?e-?(?:text|book)\s+(?:prepared|produced|created|transcribed)\s+by\b"
    r"|\[?note:\s+(?:images?|project gutenberg|this|the html)\b"
    r"|\[?transcriber['’`]?s?['’`]?\s+notes?\b",
    re.IGNORECASE,
)
NOTE_HEADING = re.compile(r"\W*transcriber['’`]?s?['’`]?\s+notes?\W*", re.IGNORECASE)
MAX_CREDITS = 8  # paragraphs
MAX_NOTE = 4000  # characters of a bracketed note


def cut_gutenberg(text: str) -> str:
    """The book alone: no header, licence, credits or transcriber's notes around it.

    The very same ``text`` where no mark of the project stands.
    """
    if not (_mentions(text[:60_000]) or _mentions(text[-60_000:])):
        return text
    text = text.replace("\r\n", "\n")
    start = _header_end(text)
    end = _footer_start(text, start)
    if start == 0 and end == len(text):
        return text
    body = text[start:end]
    if start:
        body = _without_credits(body)
    return _without_last_notes(body).strip("\n") + "\n"


def _mentions(text: str) -> bool:
    lower = text.lower()
    return "gutenberg" in lower or "small print" in lower


def _header_end(text: str) -> int:
    """Where the header ends: behind the last of its marks; 0 without one."""
    ends = [match.end() for match in START.finditer(text)][:1]
    ends += [match.end() for match in SMALL_PRINT.finditer(text)][:1]
    return max(ends, default=0)


def _footer_start(text: str, start: int) -> int:
    """Where the footer begins: at its first mark behind the header."""
    marks = [END, LICENCE, *([PLAIN_END] if start else [])]
    found = [match.start() for m in marks if (match := m.search(text, start))]
    return min(found, default=len(text))


def _without_credits(body: str) -> str:
    for _ in range(MAX_CREDITS):
        body = body.lstrip()
        if not CREDIT.match(body):
            break
        body = body[_paragraph_end(body) :]
    return body


def _paragraph_end(body: str) -> int:
    """The end of the first paragraph: of a whole note in brackets, with a heading's text."""
    if body.startswith("["):
        closed = body.find("]", 0, MAX_NOTE)
        if closed >= 0:
            return closed + 1
    end = _blank_line(body, 0)
    if NOTE_HEADING.fullmatch(body[:end]):
        while end < len(body) and body[end] == "\n":
            end += 1
        end = _blank_line(body, end)
    return end


def _blank_line(body: str, start: int) -> int:
    end = body.find("\n\n", start)
    return len(body) if end < 0 else end


def _without_last_notes(body: str) -> str:
    """Bracketed notes, and the line that says it is the end, go from the end too."""
    for _ in range(MAX_CREDITS):
        body = body.rstrip()
        opened = body.rfind("[", max(0, len(body) - MAX_NOTE))
        last = body.rfind("\n") + 1
        if body.endswith("]") and opened >= 0 and CREDIT.match(body, opened):
            body = body[:opened]
        elif PLAIN_END.match(body, last):
            body = body[:last]
        else:
            break
    return body
