import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.align.docstrings import (
    INFINITIVES,
    first_paragraph,
    predicate,
    sentences,
    shorten,
    third_person,
)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Return the sum.", "returns the sum"),
        ("Returns the sum.", "returns the sum"),
        ("Try to match a line.", "tries to match a line"),
        ("Parse and return the tree.", "parses and returns the tree"),
        (
            "Compare a and b, and return a delta.",
            "compares a and b, and returns a delta",
        ),
        ("Recursively delete a tree.", "recursively deletes a tree"),
        ("The sum of all parts.", "is the sum of all parts"),
        ("A context manager.", "is a context manager"),
        ("Wrapper around a socket.", "is a wrapper around a socket"),
        ("HTTP client class over SSL.", "is an HTTP client class over SSL"),
        ("Raised when a file is missing.", "is raised when a file is missing"),
        ("The mailbox is not empty.", ""),
        ("Deprecated alias of x.", ""),
        ("Internal function.", ""),
        ("Given a name, do this.", ""),
        ("quux", ""),
        ("", ""),
    ],
)
def test_every_style_of_opening_becomes_the_same_voice(sentence, expected):
    assert predicate(sentence) == expected


def test_irregular_third_persons():
    verbs = ["return", "try", "match", "do", "pass", "fix", "play"]
    assert [third_person(v) for v in verbs] == [
        "returns", "tries", "matches", "does", "passes", "fixes", "plays",
    ]  # fmt: skip
    assert INFINITIVES["parses"] == "parse"
    assert INFINITIVES["closes"] == "close"


def test_markup_signatures_and_examples_are_left_out():
    docstring = """quote(s) -> string

    Return a :class:`~shlex.Word` for *s*, with ``x``, as in::

        >>> quote(1)

    More.
    """
    assert first_paragraph(docstring) == "Return a `shlex.Word` for s, with `x`, as in"


def test_a_signature_on_the_first_line_gives_way_to_the_prose_after_it():
    assert (
        first_paragraph("D.clear() -> None.  Remove all items.") == "Remove all items."
    )
    assert first_paragraph(">>> f(1)\n2") == ""


def test_sentences_are_not_cut_at_abbreviations():
    text = "Parse a date, e.g. Monday. Return it. See the manual of A. Smith."
    assert sentences(text) == [
        "Parse a date, e.g. Monday.",
        "Return it.",
        "See the manual of A. Smith.",
    ]


@given(st.text(), st.integers(0, 80))
def test_shortened_text_is_whole_sentences_within_the_limit(text, limit):
    short = shorten(text, limit)
    assert len(short) <= limit
    collapsed = " ".join(sentences(text))
    assert collapsed.startswith(short)


@given(st.text())
def test_no_docstring_breaks_the_reader(text):
    paragraph = first_paragraph(text)
    for sentence in sentences(paragraph):
        assert isinstance(predicate(sentence), str)
