r"""Cut text into pieces that merges never cross: words with their space, numbers, signs.

The patterns are the published ones, in the one spelling that Python's `re`, `regex`,
Oniguruma (Hugging Face) and tiktoken's engine all read alike: no possessive quantifiers
(Oniguruma takes ``{1,3}+`` for "repeated") and ``(?![\s\S])`` for the end of the text.
The fast scanners in ``kernels/`` are held equal to :func:`split` by tests.
"""

import re
from collections.abc import Iterator
from functools import cache

from hornbook.core.errors import UserError
from hornbook.tokenizer.unicode import expand

_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?![\s\S])|\s*[\r\n]|\s+(?!\S)|\s+",
    "llama3": _ENDING + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDING}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDING}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def pattern_regex(pattern: str) -> str:
    """The regular expression behind a pattern name; anything else is one itself."""
    return PATTERNS.get(pattern, pattern)


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a named pattern or a regular expression of the user's own."""
    if re.fullmatch(r"[\w-]*", pattern) and pattern not in PATTERNS:
        raise UserError(
            f"tokenizer.pattern: there is no pattern '{pattern}'; it can be "
            f"{', '.join(PATTERNS)}, or a regular expression."
        )
    try:
        return re.compile(expand(pattern_regex(pattern)))
    except re.error as error:
        raise UserError(
            f"tokenizer.pattern: '{pattern}' is not a valid regular expression: {error}."
        ) from None


def split(text: str, pattern: str) -> list[str]:
    """The pieces of ``text``; joined they are ``text`` again, whatever the pattern."""
    return list(_pieces(text, compile_pattern(pattern)))


def _pieces(text: str, regex: re.Pattern[str]) -> Iterator[str]:
    end = 0
    for match in regex.finditer(text):
        if match.start() > end:  # what the pattern doesn't match is a piece too
            yield text[end : match.start()]
        if match[0]:
            yield match[0]
        end = match.end()
    if end < len(text):
        yield text[end:]
