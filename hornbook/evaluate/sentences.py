"""Sentences of English, by rule: what IFEval counts.

Close to what its published checkers count with NLTK's Punkt, without the model that it loads.
"""

import re

# A mark, perhaps quotes and brackets that close, then a blank.
END = re.compile(r"""(?<!\S)(\S*?)([.?!…]+)(["'”’)\]}*]*)\s+(?=(\S+))""")
# Titles and the like never end a sentence; other abbreviations may.
TITLES = "mr mrs ms dr prof rev gen sen rep gov vs no vol fig e.g i.e"
OTHERS = """capt col lt sgt st jr sr inc ltd co corp etc a.m p.m u.s u.k ph.d
    jan feb mar apr jun jul aug sep sept oct nov dec"""
FIRST = """the this that these those he she it we they i you in on at but and so if when
    then there however a an"""
NEVER_LAST, ABBREVIATIONS = frozenset(TITLES.split()), frozenset(OTHERS.split())
STARTERS = frozenset(FIRST.split())  # words that begin a sentence
OPENING = "\"'“‘([{*_#-"


def count_sentences(text: str) -> int:
    """How many sentences; a line's end alone ends none, as in NLTK."""
    if not text.strip():
        return 0
    return 1 + sum(_ends(match) for match in END.finditer(text.strip()))


def _ends(match: re.Match[str]) -> bool:
    """Whether a mark ends its sentence: not an abbreviation's, unless a sentence begins."""
    word, marks, _, following = match.groups()
    if marks[-1] in "?!":
        return True
    begins = following.lstrip(OPENING)[:1]
    if len(marks) > 1 or marks == "…":
        return not begins.islower()
    word = word.lstrip(OPENING).lower()
    if word in NEVER_LAST or re.fullmatch(r"[a-z]", word):
        return False
    if word in ABBREVIATIONS or re.fullmatch(r"([a-z]\.)+[a-z]", word):
        return begins.isupper() and following.lower() in STARTERS
    return not begins.islower()
