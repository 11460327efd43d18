"""Does an answer keep to the letter of what it was told? IFEval's 25 kinds of instruction.

Zhou et al. 2023 (arXiv 2311.07911). Each kind can be checked by a program: so many words, no
commas, in Kannada, valid JSON. Strictly, the answer itself is checked; loosely, it also
counts without its first or last line and without asterisks, where models often put a
greeting or emphasis that nobody asked for.

The language is told by langdetect, as published checkers do, with its dice fixed; words are
split by NLTK, sentences by our own rules (sentences.py). Where the published checker draws a
letter at random because the one given is none, here the one that was asked for is counted.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from hornbook.core.errors import UserError
from hornbook.evaluate.sentences import count_sentences

ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
FENCES = ("```json", "```Json", "```JSON", "```")
POSTSCRIPTS = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}


def followed(text: str, kind: str, arguments: dict[str, Any], loose: bool) -> bool:
    """Whether ``text`` follows an instruction. Raises :class:`UserError` for unknown ones."""
    if kind not in CHECKS:
        raise UserError(f"There is no check for the instruction '{kind}'.")
    given = {key: value for key, value in arguments.items() if value is not None}
    versions = _variants(text) if loose else [text]
    try:
        return any(v.strip() and CHECKS[kind](v, **given) for v in versions)
    except TypeError as error:
        raise UserError(f"The instruction '{kind}' does not fit: {error}.") from None


def _variants(text: str) -> list[str]:
    """The text without its first line, its last line or both, each with asterisks or not."""
    lines = text.split("\n")
    cut = [
        text,
        *("\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1])),
    ]
    return cut + [version.replace("*", "") for version in cut]


def _enough(count: int, relation: str, wanted: int) -> bool:
    if relation not in ("less than", "at least"):
        raise UserError(
            f"An instruction says '{relation}', not 'less than' or 'at least'."
        )
    return count < wanted if relation == "less than" else count >= wanted


def _found(pattern: str, text: str, flags: int = 0) -> int:
    return len(re.findall(pattern, text, flags))


def language_is(text: str, language: str) -> bool:
    """Whether the text is in a language (ISO 639-1), or says nothing of its language.

    Raises :class:`UserError` where langdetect is missing.
    """
    try:
        from langdetect import DetectorFactory, LangDetectException, detect
    except ImportError as error:
        raise _lacking(error) from None
    DetectorFactory.seed = 0  # it draws at random otherwise, and its answers vary
    try:
        return detect(text) == language
    except LangDetectException:
        return True


def _lacking(error: ImportError) -> UserError:
    return UserError(
        f"Judging this instruction takes {error.name}: pip install 'hornbook[ifeval]'."
    )


def keywords(text: str, keywords: Sequence[str]) -> bool:
    """All of them occur, in whatever case; they may be patterns."""
    return all(re.search(word, text, re.IGNORECASE) for word in keywords)


def no_words(text: str, forbidden_words: Sequence[str]) -> bool:
    """None of them occurs as a word."""
    return not any(re.search(rf"\b{w}\b", text, re.IGNORECASE) for w in forbidden_words)


def keyword_count(text: str, keyword: str, frequency: int, relation: str) -> bool:
    """A word occurs so often, in whatever case."""
    return _enough(_found(keyword.strip(), text, re.IGNORECASE), relation, frequency)


def letter_count(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    """A letter occurs so often, in whatever case."""
    count = text.lower().count(letter.strip().lower())
    return _enough(count, let_relation, let_frequency)


def capital_words(text: str, capital_frequency: int, capital_relation: str) -> bool:
    """So many words, as the Penn Treebank splits them, are all in capitals.

    Raises :class:`UserError` where NLTK is missing.
    """
    try:
        from nltk.tokenize import NLTKWordTokenizer
    except ImportError as error:
        raise _lacking(error) from None
    count = sum(word.isupper() for word in NLTKWordTokenizer().tokenize(text))
    return _enough(count, capital_relation, capital_frequency)


def paragraphs(text: str, num_paragraphs: int) -> bool:
    """So many parts with ``***`` between; empty ones only at the ends."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    inner = parts[1:-1]
    return all(inner) and sum(map(bool, parts)) == num_paragraphs


def nth_paragraph(
    text: str, num_paragraphs: int, nth_paragraph: int, first_word: str
) -> bool:
    """So many paragraphs, the n-th of them begins with a word."""
    parts = text.split("\n\n")
    count = sum(bool(part.strip()) for part in parts)
    if count != num_paragraphs or nth_paragraph > count:
        return False
    words = parts[nth_paragraph - 1].split()
    if not words:
        return False
    word = words[0].lstrip("'").lstrip('"')
    return re.split("[.,?!'\"]", word)[0].lower() == first_word.lower()


def bullets(text: str, num_bullets: int) -> bool:
    """Exactly so many lines begin with ``*`` or ``-``."""
    stars = _found(r"^\s*\*[^\*].*$", text, re.MULTILINE)
    return stars + _found(r"^\s*-.*$", text, re.MULTILINE) == num_bullets


def highlights(text: str, num_highlights: int) -> bool:
    """At least so many ``*parts*`` or ``**parts**`` stand out."""
    single = re.findall(r"\*[^\n\*]*\*", text)
    double = re.findall(r"\*\*[^\n\*]*\*\*", text)
    count = sum(bool(part.strip("*").strip()) for part in single + double)
    return count >= num_highlights


def sections(text: str, section_spliter: str, num_sections: int) -> bool:
    """At least so many numbered headings, as ``Section 1``."""
    return _found(rf"\s?{section_spliter.strip()}\s?\d+\s?", text) >= num_sections


def postscript(text: str, postscript_marker: str) -> bool:
    """There is a postscript, marked so."""
    marker = postscript_marker.strip()
    return bool(re.search(POSTSCRIPTS.get(marker, marker.lower()), text.lower()))


def two_answers(text: str) -> bool:
    """Two different answers with six asterisks between them."""
    parts = [part.strip() for part in text.split("******")]
    answers = [part for part in parts if part]
    return all(parts[1:-1]) and len(answers) == 2 and answers[0] != answers[1]


def is_json(text: str) -> bool:
    """Valid JSON, perhaps fenced as Markdown."""
    text = text.strip()
    for fence in FENCES:
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """A ``<<title>>`` that is not empty."""
    found = re.findall(r"<<[^\n]+>>", text)
    return any(name.lstrip("<").rstrip(">").strip() for name in found)


def ends(text: str, end_phrase: str) -> bool:
    """Nothing comes after a phrase but quotation marks."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def repeats(text: str, prompt_to_repeat: str) -> bool:
    """The prompt stands at the beginning, in whatever case."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def quoted(text: str) -> bool:
    """In double quotation marks as a whole."""
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


CHECKS: dict[str, Callable[..., bool]] = {
    "keywords:existence": keywords,
    "keywords:frequency": keyword_count,
    "keywords:forbidden_words": no_words,
    "keywords:letter_frequency": letter_count,
    "language:response_language": language_is,
    "length_constraints:number_sentences": lambda text, num_sentences, relation: (
        _enough(count_sentences(text), relation, num_sentences)
    ),
    "length_constraints:number_paragraphs": paragraphs,
    "length_constraints:number_words": lambda text, num_words, relation: _enough(
        _found(r"\w+", text), relation, num_words
    ),
    "length_constraints:nth_paragraph_first_word": nth_paragraph,
    "detectable_content:number_placeholders": lambda text, num_placeholders: (
        _found(r"\[.*?\]", text) >= num_placeholders
    ),
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": bullets,
    "detectable_format:constrained_response": lambda text: any(
        a in text for a in ANSWERS
    ),
    "detectable_format:number_highlighted_sections": highlights,
    "detectable_format:multiple_sections": sections,
    "detectable_format:json_format": is_json,
    "detectable_format:title": title,
    "combination:two_responses": two_answers,
    "combination:repeat_prompt": repeats,
    "startend:end_checker": ends,
    "startend:quotation": quoted,
    "change_case:capital_word_frequency": capital_words,
    "change_case:english_capital": lambda text: (
        text.isupper() and language_is(text, "en")
    ),
    "change_case:english_lowercase": lambda text: (
        text.islower() and language_is(text, "en")
    ),
    "punctuation:no_comma": lambda text: "," not in text,
}
