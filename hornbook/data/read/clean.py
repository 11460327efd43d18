"""Repair of a text: mojibake, Unicode form, line ends, control characters, trailing blanks.

Nothing here touches what code means: indentation, tabs and quotes come out as they went in.
"""

import re
import unicodedata

import ftfy
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad

from hornbook.data.read.config import CleanConfig
from hornbook.data.read.pii import mask

# C0 and C1 controls but for tab and newline, inner byte-order marks, noncharacters.
UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]"
)

# What every line holds that ftfy calls bad: two characters beyond ASCII side by side, not
# both of them everyday letters of Greek or Cyrillic; or one of a few that are enough alone.
ODD = "".join(
    characters
    for kind, characters in MOJIBAKE_CATEGORIES.items()
    if kind not in ("lower_common", "upper_common", "common", "c1")
)
ENOUGH = "\x80-\x9fŒœÃÂЂ"
SUSPICIOUS = re.compile(f"[{ODD}][^\\x00-\\x7f]|[^\\x00-\\x7f][{ODD}]|[{ENOUGH}]")
# The same on UTF-8, without telling letters apart: four times as fast.
SUSPICIOUS_BYTES = re.compile(
    rb"[\xc2-\xf4][\x80-\xbf]+[\xc2-\xf4]|\xc2[\x80-\x9f]|\xc5[\x92\x93]|\xc3[\x82\x83]"
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

    ftfy decides per line, but is only asked about lines that hold a tell-tale sequence:
    asking about every line would cost more than all the other stages together.
    """
    if text.isascii() or not SUSPICIOUS_BYTES.search(text.encode("utf-8", "replace")):
        return text
    lines = text.split("\n")
    bad = [bool(SUSPICIOUS.search(line)) and is_bad(line) for line in lines]
    if not any(bad):
        return text
    return "\n".join(
        ftfy.fix_encoding(line) if broken else line
        for line, broken in zip(lines, bad, strict=True)
    )


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
