"""Which script a letter belongs to, as tables for compiled loops."""

import unicodedata
from functools import cache

import numpy as np

from hornbook.data.characters import LETTER, TABLE_SIZE, kinds

# As the names of characters begin in Unicode. Number 0 is all that is no letter, 1 letters
# of scripts not listed.
SCRIPTS = (
    *("", "OTHER", "LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "HEBREW", "ARABIC"),
    *("DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU"),
    *("KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "TIBETAN", "MYANMAR"),
    *("GEORGIAN", "ETHIOPIC", "KHMER", "MONGOLIAN", "HANGUL", "KANA", "HAN"),
)
HAN, KANA = SCRIPTS.index("HAN"), SCRIPTS.index("KANA")
ALIASES = {"CJK": "HAN", "HIRAGANA": "KANA", "KATAKANA": "KANA"}


@cache
def letter_tables() -> tuple[np.ndarray, np.ndarray]:
    """``(script, lower case)`` per code point: uint8 (0 for what is no letter) and uint32."""
    script = np.zeros(TABLE_SIZE, np.uint8)
    folded = np.arange(TABLE_SIZE, dtype=np.uint32)
    numbers = {name: number for number, name in enumerate(SCRIPTS)}
    for code in np.flatnonzero(kinds() == LETTER).tolist():
        word = unicodedata.name(chr(code), "OTHER").partition(" ")[0]
        script[code] = numbers.get(ALIASES.get(word, word), 1)
        lower = chr(code).lower()
        if len(lower) == 1:
            folded[code] = ord(lower)
    return script, folded
