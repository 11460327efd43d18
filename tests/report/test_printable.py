"""Text made safe to print: every character that is left exists in the fonts."""

import itertools
import re
import string
import unicodedata

import pymupdf
import typst
from hypothesis import given
from hypothesis import strategies as st

from hornbook.report.printable import (
    ELLIPSIS,
    LIMITS,
    MISSING,
    RANGES,
    cut,
    for_print,
    printable,
    prints,
    visible,
)


def all_printable():
    return "".join(chr(c) for first, last in RANGES for c in range(first, last + 1))


def test_every_character_let_through_has_a_glyph_in_every_weight_used():
    """Asks the fonts themselves: glyph 0 in the PDF would be a missing one."""
    source = """#set page(width: 200mm, height: auto)
#set text(font: {fonts}, weight: {weight}, size: 8pt)
#let all = json(bytes(sys.inputs.all))
#for c in all {{ text(c); [ ] }}"""
    for fonts in ('"DejaVu Sans Mono"', '("Libertinus Serif", "DejaVu Sans Mono")'):
        for weight in (400, 600, 700):
            compiler = typst.Compiler(
                source.format(fonts=fonts, weight=weight).encode(),
                font_paths=typst.Fonts(include_system_fonts=False),
                sys_inputs={"all": f"[{', '.join(map(quoted, all_printable()))}]"},
            )
            pdf, warnings = compiler.compile_with_warnings(format="pdf")
            assert not warnings
            with pymupdf.open(stream=pdf) as document:
                spans = [s for page in document for s in page.get_texttrace()]
            glyphs = [glyph for span in spans for glyph in span["chars"]]
            assert len(glyphs) > len(all_printable())
            assert all(glyph[1] != 0 for glyph in glyphs)
            families = {re.sub("[^a-z]", "", s["font"].lower()) for s in spans}
            assert all(f.startswith(("dejavusansmono", "libertinus")) for f in families)


def quoted(character):
    return f'"\\u{ord(character):04x}"'


def test_the_table_holds_no_marks_controls_or_other_widths():
    for character in all_printable():
        assert unicodedata.category(character)[0] not in "CM"
    assert sorted(RANGES) == list(RANGES)
    assert all(last < later for (_, last), (later, _) in itertools.pairwise(RANGES))
    assert set(string.printable) - set(all_printable()) == set("\t\n\r\x0b\x0c")
    assert {MISSING, ELLIPSIS, *"·↵→←⏎✓✗–−×"} <= set(all_printable())


@given(st.text())
def test_any_text_becomes_printable_and_stays_so(text):
    once = printable(text)
    assert all(c == "\n" or prints(c) for c in once)
    assert printable(once) == once


def test_replacements_keep_the_length_in_sight():
    assert printable("a\U0001f600b\x00c\u202ed") == "a□b□c□d"
    assert printable("x\r\ny\rz\tw\u00a0v") == "x\ny\nz    w v"
    assert printable("e\u0301") == "é"


@given(st.text(), st.integers(1, 30), st.integers(1, 4))
def test_cut_keeps_a_beginning_within_both_limits(text, characters, lines):
    short = cut(text, characters, lines)
    assert len(short) <= characters + 1
    assert short.count("\n") < lines
    flat = " ".join(text.split()) if lines == 1 else text
    assert flat.startswith(short.removesuffix(ELLIPSIS).rstrip())
    assert (short == flat) or short.endswith(ELLIPSIS)


def test_limits_follow_the_key_and_keys_are_cut_too():
    long = "word " * 1000
    shown = for_print(
        {"text": long, "name": long, long: [long], "n": 3.5, "none": None}
    )
    assert len(shown["text"]) <= LIMITS["text"][0] + 1
    assert len(shown["name"]) <= 161
    assert all(len(key) <= 161 for key in shown)
    assert (shown["n"], shown["none"]) == (3.5, None)


def test_keys_that_look_alike_after_replacement_stay_apart():
    assert for_print({"\U0001f600": 1, "\U0001f601": 2}) == {"□": 1, "□'": 2}


def test_blanks_of_a_token_can_be_seen():
    assert visible(" \t\r\n") == "·→←↵"
