"""Text from data, made safe to print: cut to length, and only characters the fonts have.

The PDF is set in the fonts inside the typst wheel. A character they lack would print as an
empty box of an unknown font, or not at all, without a warning, so it is replaced by □
first. The table lists what DejaVu Sans Mono, the fallback of all other fonts, has in all
its weights; combining marks and direction controls are left out on purpose, because they
can reach beyond their own line.
"""

import unicodedata
from bisect import bisect_right
from typing import Any

MISSING = "□"
ELLIPSIS = "…"

RANGES = (
    (0x20, 0x7E),  # ASCII
    (0xA1, 0xAC),  # Latin-1, without the soft hyphen
    (0xAE, 0x17F),  # and Latin Extended-A
    (0x18F, 0x192),
    (0x1FA, 0x1FF),
    (0x218, 0x21B),
    (0x2C6, 0x2C7),
    (0x2D8, 0x2DD),
    (0x384, 0x38A),  # Greek
    (0x38E, 0x3A1),
    (0x3A3, 0x3CE),
    (0x400, 0x45F),  # Cyrillic
    (0x490, 0x491),
    (0x621, 0x63A),  # Arabic letters and digits
    (0x641, 0x64A),
    (0x660, 0x669),
    (0x1E80, 0x1E85),
    (0x2010, 0x2022),  # dashes, quotation marks, bullets
    (0x2026, 0x2026),
    (0x2030, 0x2037),
    (0x2039, 0x203A),
    (0x203C, 0x203D),
    (0x2070, 0x2071),  # superscripts and subscripts
    (0x2074, 0x208E),
    (0x20A0, 0x20B5),  # currencies
    (0x2122, 0x2122),
    (0x2126, 0x2126),
    (0x2190, 0x21FF),  # arrows
    (0x2200, 0x2213),  # mathematics
    (0x2215, 0x2215),
    (0x2217, 0x2220),
    (0x2227, 0x222D),
    (0x2234, 0x223D),
    (0x2241, 0x2269),
    (0x2282, 0x228B),
    (0x22C5, 0x22C6),
    (0x2308, 0x230B),
    (0x23CE, 0x23CF),
    (0x2423, 0x2423),
    (0x2500, 0x25FF),  # boxes, blocks, shapes
    (0x2605, 0x2606),
    (0x2660, 0x2667),
    (0x2713, 0x2718),
)
_STARTS = [first for first, _ in RANGES]

# Longest text per key of the facts, in characters and lines; DEFAULT for all others.
DEFAULT = (160, 1)
LIMITS = {
    "text": (620, 14),
    "content": (620, 14),
    "prompt": (160, 3),
    "examples": (330, 6),
    "commands": (240, 2),
    "note": (240, 1),
    "transcript_rule": (300, 1),
}


def prints(character: str) -> bool:
    """Whether the embedded fonts have this character."""
    code = ord(character)
    place = bisect_right(_STARTS, code) - 1
    return place >= 0 and code <= RANGES[place][1]


def printable(text: str) -> str:
    """``text`` with tabs, line ends and blanks made plain, and □ for what can't be set."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.replace("\t", "    ").replace("\u00a0", " ")
    return "".join(c if c == "\n" or prints(c) else MISSING for c in text)


def visible(piece: str) -> str:
    """A token's text with blanks, tabs and line ends that can be seen."""
    return piece.translate(
        {ord(" "): "·", ord("\n"): "↵", ord("\t"): "→", ord("\r"): "←"}
    )


def cut(text: str, characters: int, lines: int) -> str:
    """The beginning of ``text`` within both limits; … where something was cut.

    When only one line is allowed, every run of blanks and line ends becomes one blank.
    """
    if lines == 1:
        text = " ".join(text.split())
    kept = "\n".join(text.split("\n")[:lines])[:characters]
    return kept if kept == text else kept.rstrip() + ELLIPSIS


def fitted(text: str, characters: int, lines: int) -> str:
    """``text`` printable and cut; of a very long one, only the beginning is looked at."""
    return cut(printable(text[: 8 * characters]), characters, lines)


def for_print(value: Any, key: str = "") -> Any:
    """Every text within ``value``, keys too, cut and made printable, by its key's limit."""
    if isinstance(value, str):
        return fitted(value, *LIMITS.get(key, DEFAULT))
    if isinstance(value, list | tuple):
        return [for_print(item, key) for item in value]
    if isinstance(value, dict):
        result: dict[str, Any] = {}
        for name, item in value.items():
            shown = fitted(str(name), *DEFAULT)
            while shown in result:  # two names may differ in a replaced character only
                shown += "'"
            result[shown] = for_print(item, key if key in LIMITS else str(name))
        return result
    return value
