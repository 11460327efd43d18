"""Repair of a text: mojibake, Unicode form, line ends, control characters, trailing blanks.

Nothing here touches what code means: indentation, tabs and quotes come out as they went in.
"""

import re
import unicodedata

import ftfy
from ftfy.badness import BADNESS_RE

from hornbook.data.config import CleanConfig
from hornbook.data.read.pii import mask

# C0 and C1 controls but for tab and newline, inner byte-order marks, noncharacters.
UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]"
)

# Mojibake leaves neighbours beyond ASCII, or one of these alone.
FOREIGN = re.compile("[^\x00-\x7f](?:[^\x00-\x7f]+|(?<=[\x80-\x9fÂÃØÙŒœ]))")
# Letters that are common in scripts of their own and no sign of mojibake among themselves.
OTHER_SCRIPTS = re.compile(
    "[\u0370-\u0383\u0386-\u03ffА-яЁё\u0590-\u1fff\u3000-\ud7ff]+"
)


def clean(text: str, config: CleanConfig) -> str:
    """``text`` repaired as ``config`` asks."""
    if config.fix_mojibake:
        text = fix_mojibake(text)
    if config.normalize:
        text = normalize(text)
    return mask(text) if config.mask_personal_data else text


def fix_mojibake(text: str) -> str:
    """Undo UTF-8 that was once read as Latin-1 (``schÃ¶n`` -> ``schön``), line by line.

    ftfy decides per line, but only on lines that hold a tell-tale sequence: looking at
    every line would cost more than all the other stages together.
    """
    if not is_suspect(text):
        return text
    lines = text.split("\n")
    return "\n".join(
        ftfy.fix_encoding(line) if is_suspect(line) else line for line in lines
    )


def is_suspect(text: str) -> bool:
    """Whether ftfy's expression for mojibake matches: asked only where it can.

    Tried at every character it would be slower than all other curation together.
    """
    if text.isascii():
        return False
    for run in FOREIGN.finditer(text):
        near = max(run.start() - 4, 0), run.end() + 6
        if OTHER_SCRIPTS.fullmatch(run[0]) is None and BADNESS_RE.search(text, *near):
            return True
    return False


def normalize(text: str) -> str:
    """NFC, ``\\n`` line ends, no control characters, no blanks at the ends of lines.

    Empty lines at the start go, and all but one line end at the end. Doing it twice
    changes nothing more.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = text.replace("\x85", "\n")
    text = UNWANTED.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if " \n" in text or "\t\n" in text or text.endswith((" ", "\t")):
        text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    text = text.lstrip("\n")
    body = text.rstrip("\n")
    return body + "\n" if len(body) < len(text) else body
