"""Splitting: the readable splitter against `regex`, the scanners against the splitter."""

import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.tokenizer.kernels.jit import addresses
from hornbook.tokenizer.kernels.scan import RULES
from hornbook.tokenizer.kernels.scanners import COUNT, POS, scanner
from hornbook.tokenizer.pretokenize import PATTERNS, pattern_regex, split
from hornbook.tokenizer.texts import joined
from hornbook.tokenizer.unicode import (
    CATEGORIES,
    CODE_POINTS,
    categories,
    classes_for,
    expand,
)
from tests.tokenizer.samples import nasty_text


def scanned(text: str, pattern: str) -> list[str]:
    """The pieces as the scanners find them."""
    data = text.encode()
    (buffer, places), ends = joined([data]), np.empty(256, np.uint64)
    (pos, stop, _), pieces = places[:, 0].tolist(), []
    cursor = np.array([pos, pos + 1, stop, 0, 0], np.int64)
    state = addresses(buffer, classes_for(pattern), ends, cursor)
    while pos < stop:
        start = pos
        scanner(RULES[pattern]).ctypes(state.ctypes.data)
        pos = int(cursor[POS])
        for end in ends[: cursor[COUNT]].tolist():
            pieces.append(bytes(buffer[start:end]).decode())
            start = end
    return pieces


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=nasty_text)
def test_scanners_split_as_the_expressions_do(pattern, text):
    assert scanned(text, pattern) == split(text, pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_character_there_is_splits_as_the_expressions_say(pattern):
    """Windows tell many letters by their first byte alone."""
    unknown = [CATEGORIES.index(name) for name in ("Cn", "Cs", "Co")]
    known = np.flatnonzero(~np.isin(categories(), unknown)).tolist()
    text = "".join(f"a{chr(point)}b{chr(point)} " for point in known)
    assert scanned(text, pattern) == split(text, pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=nasty_text)
def test_splitter_agrees_with_the_regex_module(pattern, text):
    # Characters newer than this Python's Unicode are where engines differ by version.
    text = "".join(c for c in text if unicodedata.category(c) != "Cn")
    found = regex.compile(pattern_regex(pattern)).findall(text)
    assert split(text, pattern) == found


@pytest.mark.parametrize("pattern", [r"\d+|[A-Z]\w*", "b+", r"(?=a)", r"(a)(b)?|\P{L}"])
@given(text=st.text(alphabet="abAB 12é", max_size=30))
def test_own_expression_loses_nothing(pattern, text):
    assert "".join(split(text, pattern)) == text


def test_own_expression_uses_the_pinned_table():
    assert split("aé1 ७x", r"\p{L}+|\p{Nd}+|[^\p{L}\s]|\S") == [
        "aé",
        "1",
        " ",
        "७",
        "x",
    ]


def test_bad_patterns_are_explained():
    for pattern, words in [
        ("gpt5", "gpt2, gpt4"),
        ("(a", "not a valid regular expression"),
        (r"\p{Han}+", "general categories"),
    ]:
        with pytest.raises(UserError, match=words):
            split("text", pattern)


def test_table_agrees_with_python_on_what_both_know():
    known = [
        c for c in range(0, CODE_POINTS, 7) if unicodedata.category(chr(c)) != "Cn"
    ]
    differing = [
        c for c in known if CATEGORIES[categories()[c]] != unicodedata.category(chr(c))
    ]
    assert len(differing) < 20  # a few characters change category between versions


def test_expand_spells_classes_out():
    assert regex.fullmatch(expand(r"[^\s\p{L}]\P{N}\S"), "1a!")
    assert not regex.fullmatch(expand(r"[^\s\p{L}]\P{N}\S"), "éa!")
