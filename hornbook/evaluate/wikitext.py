"""WikiText as it was written: its tokenised punctuation joined up again."""

import re

# WikiText writes blanks around punctuation: what is found, what it was.
SPACED = (
    ("s '", "s'"),
    (" @-@ ", "-"),
    (" @,@ ", ","),
    (" @.@ ", "."),
    *((f" {mark} ", f"{mark} ") for mark in ":;.!?,"),
)
PAIRED = (
    (r"\(\s*([^\)]*?)\s*\)", r"(\1)"),
    (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
    (r"{\s*([^}]*?)\s*}", r"{\1}"),
    (r"\"\s*([^\"]*?)\s*\"", r'"\1"'),
    (r"'\s*([^']*?)\s*'", r"'\1'"),
)
LAST = (
    *(("= " * n + "=", "=" * (n + 1)) for n in (3, 2, 1)),
    (" ° ", "°"),
    (" \n", "\n"),
    ("\n ", "\n"),
    (" N ", " 1 "),
    (" 's", "'s"),
)


def detokenized(text: str) -> str:
    """WikiText's tokenised text as it was written, by lm-evaluation-harness's rules."""
    for found, written in SPACED:
        text = text.replace(found, written)
    for pattern, written in PAIRED:
        text = re.sub(pattern, written, text)
    for found, written in LAST:
        text = text.replace(found, written)
    return text
