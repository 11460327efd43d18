"""What kind of character a code point is, pinned to Unicode 16.

Engines disagree: Python 3.11 knows Unicode 14, tiktoken 16, the `regex` module 17. A
tokenizer that followed the machine it runs on would give other ids there, so one table
travels with the package (``tools/unicode_categories.py`` writes it). Everything that asks
"is this a letter?" asks here: the readable splitter through :func:`expand`, the fast
scanners through :func:`scanner_classes`.
"""

import re
from functools import cache
from importlib import resources

import numpy as np

from hornbook.core.errors import UserError

CODE_POINTS = 0x110000
CATEGORIES = (
    *(
        "Cn",
        "Lu",
        "Ll",
        "Lt",
        "Lm",
        "Lo",
        "Mn",
        "Mc",
        "Me",
        "Nd",
        "Nl",
        "No",
        "Pc",
        "Pd",
        "Ps",
    ),
    *(
        "Pe",
        "Pi",
        "Pf",
        "Po",
        "Sm",
        "Sc",
        "Sk",
        "So",
        "Zs",
        "Zl",
        "Zp",
        "Cc",
        "Cf",
        "Cs",
        "Co",
    ),
)
BLANKS = (
    *(*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
)  # \s: Unicode's White_Space, the same 25 code points in every version

# The classes the scanners tell apart.
OTHER, UPPER, LOWER, LETTER, MARK, NUMBER, BLANK, NEWLINE = range(8)


@cache
def categories() -> np.ndarray:
    """The index into CATEGORIES of every code point, ``(0x110000,)`` uint8."""
    file = resources.files("hornbook.tokenizer") / "unicode16.npz"
    with file.open("rb") as handle, np.load(handle, allow_pickle=False) as runs:
        sizes = np.diff(runs["starts"].astype(np.int64), append=CODE_POINTS)
        return np.repeat(runs["categories"], sizes)


@cache
def scanner_classes() -> np.ndarray:
    """The scanner class of every code point, ``(0x110000,)`` uint8."""
    of_category = np.full(len(CATEGORIES), OTHER, np.uint8)
    for number, name in enumerate(CATEGORIES):
        if name[0] == "L":
            of_category[number] = {"Lu": UPPER, "Lt": UPPER, "Ll": LOWER}.get(
                name, LETTER
            )
        elif name[0] in "MN":
            of_category[number] = MARK if name[0] == "M" else NUMBER
    table = of_category[categories()]
    table[list(BLANKS)] = BLANK
    table[[10, 13]] = NEWLINE
    return table


@cache
def classes_for(pattern: str) -> np.ndarray:
    """The table a scanner reads: only o200k tells letters by case and marks from signs."""
    table = scanner_classes()
    if pattern == "o200k":
        return table
    coarse = np.arange(8, dtype=np.uint8)
    coarse[[UPPER, LOWER]], coarse[MARK] = LETTER, OTHER
    return coarse[table]


@cache
def members(name: str, negated: bool = False) -> str:
    r"""The body of a character class for ``\p{name}`` (``\s`` is "blank"), as ranges."""
    if name == "blank":
        inside = np.isin(np.arange(CODE_POINTS), BLANKS)
    else:
        wanted = [
            i for i, category in enumerate(CATEGORIES) if category.startswith(name)
        ]
        if not wanted:
            raise UserError(
                f"tokenizer.pattern: \\p{{{name}}} is not known here; general categories "
                "like \\p{L} or \\p{Lu} are, and scripts can be spelled as ranges."
            )
        inside = np.isin(categories(), wanted)
    edges = np.flatnonzero(
        np.diff((inside ^ negated).astype(np.int8), prepend=0, append=0)
    )
    ranges = edges.reshape(-1, 2)
    return "".join(f"\\U{low:08x}-\\U{stop - 1:08x}" for low, stop in ranges.tolist())


def expand(pattern: str) -> str:
    r"""Spell ``\p{..}``, ``\P{..}``, ``\s``, ``\S``, ``\d``, ``\D`` out for Python's `re`."""
    in_class = False

    def spell(match: re.Match[str]) -> str:
        nonlocal in_class
        token = match[0]
        if token in "[]":
            in_class = token == "["
            return token
        name = match[1] or {"s": "blank", "d": "Nd"}.get(token[1].lower())
        if token[1] not in "pPsSdD" or name is None:
            return token
        body = members(name, negated=token[1].isupper())
        return body if in_class else f"[{body}]"

    return re.sub(r"\\[pP]\{(\w+)\}|\\.|\[|\]", spell, pattern, flags=re.DOTALL)
