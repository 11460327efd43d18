"""Questions about texts that are not Python: headings, and how a passage goes on.

A heading with a paragraph below it is a question with its answer. Where a corpus has too
few of them (novels, plain text), a sentence is the question and what follows the answer.
"""

import re
from collections.abc import Iterator

from hornbook.align.docstrings import plain, sentences, shorten
from hornbook.align.messages import choice, user
from hornbook.align.pairing import Statement

ABOUT = (
    "What does the text say about “{title}”?",
    "Tell me about “{title}”.",
    "What is there to know about “{title}”?",
)
CONTINUE = "How does the text go on? “{sentence}”"

MARKDOWN = re.compile(r"^#{1,6} +(?P<title>.+?)#* *$")
UNDERLINE = re.compile(r"^(=+|-+|~+|\^+|\*+|\"+)$")
FENCE = re.compile(r"^(```|~~~)")
MIN_ANSWER_WORDS = 5
MAX_TITLE_CHARS = 80
MAX_SENTENCE_CHARS = 200


def sections(path: str, text: str, max_answer_chars: int) -> Iterator[Statement]:
    """One statement per heading that has prose right below it (Markdown or underlined)."""
    lines = text.splitlines()
    title, body, fenced = "", [], False
    for number, line in enumerate([*lines, "# end"]):
        fenced ^= bool(FENCE.match(line))
        heading = "" if fenced else _heading(lines, number)
        if heading or number == len(lines):
            yield from _about(path, title, "\n".join(body), max_answer_chars)
            title, body = heading, []
        elif not (UNDERLINE.match(line) and not body):
            body.append(line)


def _heading(lines: list[str], number: int) -> str:
    """The title if line ``number`` is a heading, else nothing."""
    line = lines[number].strip() if number < len(lines) else ""
    below = lines[number + 1].strip() if number + 1 < len(lines) else ""
    markdown = MARKDOWN.match(line)
    if markdown:
        return markdown["title"].strip()
    underlined = (
        UNDERLINE.match(below) and len(below) >= len(line) - 2 and len(below) > 2
    )
    return line if underlined and line and not UNDERLINE.match(line) else ""


def _about(path: str, title: str, body: str, max_chars: int) -> Iterator[Statement]:
    title = title.strip("*`_ ")
    paragraphs = re.split(r"\n\s*\n", body.strip())
    answer = shorten(plain(paragraphs[0]), max_chars)
    words = any(c.isalpha() for c in title) and len(answer.split()) >= MIN_ANSWER_WORDS
    if words and len(title) <= MAX_TITLE_CHARS and answer[0].isalnum():
        template = ABOUT[choice(f"{path}\0{title}", "about", len(ABOUT))]
        yield Statement(user(template.format(title=title)), "", answer, path, "section")


def continuations(path: str, text: str, max_answer_chars: int) -> Iterator[Statement]:
    """One statement per paragraph of two sentences or more; single lines count as well."""
    for paragraph in re.split(r"\n\s*\n", text):
        parts = sentences(plain(paragraph))
        if len(parts) < 2:
            parts = [line.strip() for line in paragraph.splitlines() if line.strip()]
        if len(parts) < 2 or len(parts[0]) > MAX_SENTENCE_CHARS:
            continue
        answer = shorten(" ".join(parts[1:]), max_answer_chars)
        if len(answer.split()) >= MIN_ANSWER_WORDS:
            prompt = user(CONTINUE.format(sentence=parts[0]))
            yield Statement(prompt, "", answer, path, "continuation")
