"""Wrapped paragraphs come back whole; verse, lists, tables and code stay as they are."""

import random
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.data.read.lines import join_lines, wrap_width

WORDS = [
    "a",
    "is",
    "the",
    "well",
    "there",
    "walked",
    "evening",
    "darkness",
    "straße",
    "up,",
]
PARAGRAPH = st.lists(
    st.sampled_from([*WORDS, "end.", "inconceivable"]), min_size=25, max_size=60
)


def wrap(paragraph: str, width: int) -> str:
    return textwrap.fill(
        paragraph, width, break_long_words=False, break_on_hyphens=False
    )


@given(st.lists(PARAGRAPH, min_size=1, max_size=5), st.integers(45, 99))
def test_what_was_wrapped_comes_back_whole(paragraphs, width):
    whole = "\n\n".join(" ".join(words) for words in paragraphs)
    wrapped = "\n\n".join(wrap(" ".join(words), width) for words in paragraphs)
    assert join_lines(wrapped) == whole
    assert join_lines(whole) == whole


@given(st.text())
def test_joining_only_changes_white_space_between_lines(text):
    joined = join_lines(text)
    assert "".join(joined.split()) == "".join(text.split())
    assert len(joined) <= len(text)


def prose(width=70, seed=0):
    dice = random.Random(seed)
    words = ["".join(dice.choices("etaoin", k=dice.randint(2, 9))) for _ in range(300)]
    return wrap(" ".join(words), width)


VERSE = (
    "The curfew tolls the knell of parting day,\nThe lowing herd wind slowly o'er the lea,\n"
    "The plowman homeward plods his weary way,\nAnd leaves the world to darkness and to me."
)
LIST = (
    "- the first of the things that have to be bought before noon tomorrow\n"
    "- the second of the things that have to be bought before noon today"
)
NUMBERED = (
    "1. the first of the things that have to be bought before noon tomorrow\n"
    "2. the second of the things that have to be bought before noon today"
)
CODE = (
    "def the_first_function_of_the_module_with_a_long_name(argument, other):\n"
    "    return the_second_function_of_the_module_with_a_long_name(argument)"
)
BRACES = (
    "for (int the_counter = 0; the_counter < the_number_of_things; the_counter++) {\n"
    "use(the_counter, the_number_of_things, the_other_thing, the_last_of_all_th);\n}"
)
TABLE = (
    "The name of the thing    The price of the thing    How many there are\n"
    "A lamp that is lit up    12 pounds and 3 pennies   4 of them, or 5 now"
)
QUOTED = (
    "> the first line of what somebody wrote in an e-mail some years before\n"
    "> and the second line of what somebody wrote in an e-mail years before"
)
HEADING = "CHAPTER ONE\nIn which the lamp goes out"
SPEECH = "HAMLET.\nWords, words, words."
HASHES = (
    "# A comment of a script that goes on for as long as the line is long at\n"
    "# the end of it, and then some words more that fill the second one too."
)


@pytest.mark.parametrize(
    "block",
    [VERSE, LIST, NUMBERED, CODE, BRACES, TABLE, QUOTED, HEADING, SPEECH, HASHES],
)
def test_what_has_lines_of_its_own_keeps_them(block):
    text = f"{prose()}\n\n{block}\n\n{prose(seed=1)}\n"
    assert block in join_lines(text)
    assert join_lines(text).count("\n") == 5 + block.count("\n")


def test_what_is_between_paragraphs_stays():
    text = f"{prose()}\n\n\n  \n{prose(seed=1)}\n"
    first, second = join_lines(text).split("\n\n\n  \n")
    assert "\n" not in first
    assert second.endswith("\n")


def test_hyphens_and_dashes_join_without_a_blank():
    filler = prose(60)
    line = "x" * 52
    text = f"{filler}\n\n{line} well-\nknown {line[:45]} and--\nthen {line}\n"
    assert "well-known" in join_lines(text)
    assert "and--then" in join_lines(text)


def test_ideographs_join_without_a_blank():
    line = "春眠不覚暁処処聞啼鳥夜来風雨声花落知多少" * 3
    assert join_lines("\n".join([line] * 4)) == line * 4


@pytest.mark.parametrize(
    "text", ["", "one line", "short\nlines\nhere\n", "x" * 300 + "\n" + "y" * 300]
)
def test_text_that_is_not_wrapped_has_no_width(text):
    assert wrap_width(text) == 0
    assert join_lines(text) == text
