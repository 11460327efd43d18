"""A docstring becomes a short English description: ``returns the sum of its arguments``.

The chat data wants one consistent voice, so that a small model can learn it. Authors write
"Return the sum.", "Returns the sum." or "The sum."; here each becomes a *predicate*, a
phrase that continues "`module.name` …": ``returns the sum``, ``is the sum``.
Descriptions with no such reading are left out rather than bent into shape.
"""

import re

from hornbook.align.words import ARTICLES, NOUNS, OPENINGS, VERBS

NOISE = re.compile(
    r"deprecat|obsolete|\binternal\b|\bprivate\b|not implemented|\bXXX\b|\bTODO\b|\bFIXME\b"
    r"|^see\b|^stub\b|^hook\b|^dummy\b|undocumented",
    re.IGNORECASE,
)
ROLE = re.compile(r":[a-z:]+:`~?\.?([^`<]+?)(?:\s*<[^>]*>)?`")  # :class:`~a.B` -> `a.B`
EMPHASIS = re.compile(
    r"(?<![\w*])\*{1,2}([A-Za-z_]\w*)\*{1,2}(?![\w*])"
)  # *name* -> name
SIGNATURE = re.compile(r"^[\w.]+ *\([^)]*\)+(?: *(?:->|=>|=|--) *\w*\.?)?(?: +|$)")
FINITE = re.compile(
    r"^(?:(?!that|which|who|where|when|if)\w+ )*(?:is|are|was|were|has|had|can|will)\b"
)
HEAD_END = re.compile(
    r" (?:that|which|who|where|when|for|of|to|with|used|using|over|in|from|on|by|around)\b|,"
)
LATER_VERB = re.compile(r"((?:; (?:and )?|, and | and )(?:return|raise))\b")
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|resp|approx|No|St|Dr)|\b[A-Z])\.$"
)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')`]?\s+(?=[\"'(`A-Z])")


def first_paragraph(docstring: str) -> str:
    """The first paragraph of prose on one line, without markup; empty when there is none."""
    for block in re.split(r"\n\s*\n", docstring.strip()):
        text = SIGNATURE.sub("", plain(block))  # "quote(s) -> string", then the prose
        if text:
            return text
    return ""


def plain(block: str) -> str:
    """One paragraph without reStructuredText markup, its white space collapsed."""
    lines = []
    for line in block.splitlines():
        if line.lstrip().startswith((">>>", "... ", ".. ", ":param", ":return", "@")):
            break
        lines.append(line)
    text = " ".join(" ".join(lines).split())
    text = ROLE.sub(r"`\1`", text).replace("``", "`")
    return EMPHASIS.sub(r"\1", text).removesuffix("::").strip()


def sentences(text: str) -> list[str]:
    """``text`` cut at sentence ends; abbreviations such as "e.g." don't end a sentence."""
    found, start = [], 0
    for end in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text[start : end.start()]):
            found.append(text[start : end.end()].strip())
            start = end.end()
    return [*found, text[start:].strip()] if text[start:].strip() else found


def shorten(text: str, max_chars: int) -> str:
    """As many whole sentences from the start as fit; empty when the first does not."""
    kept = ""
    for sentence in sentences(text):
        longer = f"{kept} {sentence}".strip()
        if len(longer) > max_chars:
            break
        kept = longer
    return kept


def predicate(sentence: str) -> str:
    """What continues "`name` …", without the full stop; empty when nothing fits.

    ``Return the sum.`` -> ``returns the sum``; ``The sum.`` -> ``is the sum``.
    """
    sentence = sentence.strip().rstrip(".!:;,")
    first, _, rest = sentence.partition(" ")
    word = first.rstrip(",").lower()
    if not rest or NOISE.search(sentence) or not word.isalpha():
        return ""
    if word.endswith("ly"):  # "Recursively delete a tree"
        verb = predicate(rest[0].upper() + rest[1:])
        return f"{word} {verb}" if verb.split(" ")[0] in INFINITIVES else ""
    if word in VERBS:
        return f"{third_person(word)} {_other_verbs(rest)}"
    if word in INFINITIVES:
        return f"{word} {rest}"
    if word in OPENINGS:
        return f"{OPENINGS[word]} {rest}"
    if word in ARTICLES:
        return "" if FINITE.match(rest) else f"is {word} {rest}"
    head = HEAD_END.split(sentence, maxsplit=1)[0].lower()
    if head.rpartition(" ")[2] in NOUNS:  # "Label widget which …"
        opening = word if first.istitle() else first
        return f"is {article(opening)} {opening} {rest}"
    return ""


def article(word: str) -> str:
    """``a`` or ``an``; acronyms are spelled out when spoken, so it is "an HTTP request"."""
    return "an" if word[0] in ("AEFHILMNORSX" if word.isupper() else "aeio") else "a"


def _other_verbs(rest: str) -> str:
    """Conjugate the other half of "Parse and return …" and "Parse it; return …"."""
    joint, _, after = rest.partition(" ")
    verb, space, end = after.partition(" ")
    if joint in ("and", "or") and verb in VERBS:
        rest = f"{joint} {third_person(verb)}{space}{end}"
    return LATER_VERB.sub(r"\1s", rest)


def third_person(verb: str) -> str:
    """``return`` -> ``returns``, ``try`` -> ``tries``, ``match`` -> ``matches``."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return (
        f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else f"{verb}s"
    )


INFINITIVES = {third_person(verb): verb for verb in VERBS}
