"""The chapters' text: no typed-in measurements, spelling, programs and commands that run."""

import re
from pathlib import Path

import pytest
from spellchecker import SpellChecker

from book.press.extract import ROOT
from book.press.facts import chapters
from book.press.snippets import (
    SNIPPETS,
    commands_in,
    complaint,
    fits,
    output_of,
    replay,
)

DICTIONARY = ROOT / "book" / "dictionary.txt"
MARKUP = re.compile(
    r"//.*$|`[^`]*`|\$[^$]*\$|\"[^\"]*\"|@[\w:.-]+|<[\w:-]+>|#[a-z][\w.-]*|https?:\S+"
    r"|\b\d+(?:\.\d+)?(?:mm|pt|em|%|fr)\b",
    re.MULTILINE,
)
CODE = re.compile(
    r"^\s*(#let|#import|//|d\.|\.\.|let |for |if |\)|\}|[\w-]+:|[a-z-]*\()"
)


BLOCKS = ("#let", "#figure(", "#import", "#data-table(")
CALL = re.compile(r"#\(|#[a-z][\w.-]*\(")


def without_calls(line):
    """``#name(...)`` taken out, brackets within it included; ``[...]`` after it stays."""
    while found := CALL.search(line):
        depth, end = 1, found.end()
        while depth and end < len(line):
            depth += {"(": 1, ")": -1}.get(line[end], 0)
            end += 1
        line = line[: found.start()] + " " + line[end:]
    return line


def opened_in(line):
    return sum(line.count(b) for b in "({") - sum(line.count(b) for b in ")}")


def prose(path):
    """The lines of a chapter that are text, without markup, mathematics and code."""
    depth = 0
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\$[^$]*\$", lambda math: " " + "\n" * math[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        block = depth > 0 or line.startswith(BLOCKS)
        if block:
            depth = max(0, depth + opened_in(MARKUP.sub(" ", line)))
        _, has_caption, caption = line.partition("caption:")
        if has_caption:
            yield number, line, MARKUP.sub(" ", without_calls(caption))
        elif not block and not CODE.match(line):
            yield number, line, MARKUP.sub(" ", without_calls(line))


@pytest.mark.parametrize("path", chapters(), ids=lambda p: p.stem)
def test_no_measurement_is_typed_into_the_text(path):
    found = [
        f"{path.name}:{number}: {literal}"
        for number, line, bare in prose(path)
        if "// literal" not in line
        for literal in re.findall(r"(?<![\w.:-])(?:\d+\.\d+|\d{3,})(?![\w:])", bare)
        if not re.fullmatch(r"(?:19|20)\d\d", literal)
    ]
    assert not found, "read them from a file, or end the line with // literal"


@pytest.fixture(scope="module")
def speller():
    checker = SpellChecker()
    checker.word_frequency.load_words(DICTIONARY.read_text(encoding="utf-8").split())
    return checker


@pytest.mark.parametrize("path", chapters(), ids=lambda p: p.stem)
def test_every_word_is_in_the_dictionary(path, speller):
    words = {
        word.lower().removesuffix("'s").strip("'")
        for _, _, bare in prose(path)
        for word in re.findall(
            r"(?<![\w\\])[A-Za-z][a-z']+(?![\w])", bare.replace("’", "'")
        )
    }
    unknown = sorted(speller.unknown(word for word in words if len(word) > 2))
    assert not unknown, f"misspelt, or missing in {DICTIONARY.name}"


PROGRAMS = sorted(SNIPPETS.rglob("*.py"))
SESSIONS = sorted(SNIPPETS.rglob("*.console"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_program_in_the_book_prints_what_the_book_says(path: Path):
    assert fits(path.with_suffix(".out").read_text(encoding="utf-8"), output_of(path))


@pytest.mark.parametrize("path", SESSIONS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_session_in_the_book_goes_as_the_book_says(path: Path):
    assert fits(path.read_text(encoding="utf-8"), replay(path))


def test_commands_that_take_too_long_to_run_exist_with_their_options():
    for path in SNIPPETS.rglob("*.commands"):
        for command in commands_in(path):
            assert complaint(command) is None, f"{path.name}: {command}"


@pytest.mark.parametrize("path", chapters(), ids=lambda p: p.stem)
def test_commands_within_sentences_exist_with_their_options(path):
    for command in re.findall(r"`(hornbook [^`]+)`", path.read_text(encoding="utf-8")):
        assert complaint(command) is None, command


def test_a_wrong_command_is_noticed():
    assert complaint("hornbook bake cake") == "hornbook has no command bake"
    assert "no option --flour" in str(complaint("hornbook run hello --flour 2"))
    assert complaint("hornbook run hello --set model.d_model=64") is None


def test_marks_of_omission_stand_for_anything_but_the_rest_is_exact():
    assert fits("loss … after\n…\nend", "loss 1.2 after\na\nb\nend")
    assert fits("a\n…\nb", "a\nb")
    assert not fits("loss … after", "loss 1.2 before")


def test_every_snippet_is_used_and_every_use_has_its_file():
    used = set()
    for path in chapters():
        text = path.read_text(encoding="utf-8")
        used |= {f"{name}.py" for name in re.findall(r'#snippet\("([^"]+)"', text)}
        used |= set(re.findall(r'#session\("([^"]+)"', text))
    have = {
        path.relative_to(SNIPPETS).as_posix()
        for path in SNIPPETS.rglob("*")
        if path.suffix in (".py", ".console", ".commands")
    }
    assert used == have


def test_a_session_is_replayed_command_by_command_in_one_folder(tmp_path):
    session = tmp_path / "check.console"
    session.write_text("$ hornbook check 5\n$ hornbook check 5\n$ hornbook check 99\n")
    printed = replay(session)
    assert fits(
        "$ hornbook check 5\nWrote chapter05.py. …\n$ hornbook check 5\n"
        "· 5.1 weights: not written yet\n…\n0 of 4 right.\n$ hornbook check 99\n"
        "hornbook: Chapter 99 has no exercises; …",
        printed,
    ), printed
