"""A regular expression as a reward; run in a process that can be ended (judge.py)."""

import re


def matches(pattern: str, answer: str, record: object = None) -> float:
    """1 if the whole answer, without space around it, matches ``pattern``."""
    return float(re.fullmatch(pattern, answer.strip(), re.DOTALL) is not None)
