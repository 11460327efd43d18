"""The book as a PDF: whole, true to the source and the measurements, and well set."""

import io
import json
import re
import textwrap
import unicodedata
from functools import cache

import pymupdf
import pypdf
import pytest

from book.press.build import compile_book, compiler
from book.press.extract import ROOT
from book.press.facts import references

OURS = re.compile("LibertinusSerif|NewCM|SourceSans3|JetBrainsMono")
FRAME = pymupdf.Rect(28, 28, 576 - 26, 720 - 18)  # points; where anything may stand
MARGIN = 147.5 * 72 / 25.4  # where notes begin


@cache
def spans(document, number):
    return document[number].get_texttrace()


def everywhere(document):
    for number in range(len(document)):
        for span in spans(document, number):
            yield number + 1, span, "".join(chr(c[0]) for c in span["chars"])


def flat(text):
    return re.sub(r"\s|\u200b|\u00ad", "", unicodedata.normalize("NFKC", text))


def test_the_book_compiles_without_a_warning(book):
    assert book.warnings == []


def test_two_builds_are_equal_to_the_byte(book):
    assert compile_book(compiler())[0] == book.pdf


def test_every_listing_is_what_the_source_says_today(book):
    used = book.marks("listing-used")
    assert used
    for listing in used:
        text = (ROOT / listing["file"]).read_text(encoding="utf-8")
        lines = text.splitlines()[listing["first"] - 1 : listing["last"]]
        today = textwrap.dedent("\n".join(line.rstrip() for line in lines))
        assert "\n".join(listing["lines"]) == today, listing["symbol"]


def test_numbers_from_measurements_are_found_again_in_file_and_text(book):
    words = flat("".join(page.get_text() for page in book.document))
    measured = book.marks("measured")
    assert measured
    for mark in measured:
        value = json.loads((ROOT / mark["file"]).read_text(encoding="utf-8"))
        for key in mark["path"]:
            value = value[key]
        # Typst writes some floats back with another last digit.
        assert mark["value"] == pytest.approx(value, rel=1e-12), mark
        if mark["shown"]:
            assert flat(mark["shown"]) in words, mark


def test_every_margin_note_has_room(book):
    assert book.marks("note-overflow") == []


def test_every_character_is_in_one_of_our_fonts(book):
    for page, span, line in everywhere(book.document):
        assert OURS.search(span["font"]), f"page {page}: {span['font']} in {line!r}"
        for code, glyph, _, _ in span["chars"]:
            assert glyph != 0, f"page {page}: no glyph for U+{code:04X} in {line!r}"


def test_nothing_stands_outside_the_frame(book):
    for page, span, line in everywhere(book.document):
        for code, _, _, box in span["chars"]:
            if not chr(code).isspace():
                inside = pymupdf.Rect(box).intersect(FRAME)
                assert inside.width > 0 or box[2] - box[0] < 0.1, (
                    f"page {page}: {line!r}"
                )
                assert FRAME.x0 <= box[0], (
                    f"page {page}: {line!r} begins at {box[0]:.0f}"
                )
                assert box[2] <= FRAME.x1, f"page {page}: {line!r} ends at {box[2]:.0f}"


def test_no_two_letters_are_printed_over_each_other(book):
    """Within mathematics letters may touch: sub- and superscripts are let off by size."""
    boxes = {}
    for page, span, _ in everywhere(book.document):
        size = span["size"]
        for code, _, (_, y), box in span["chars"]:
            if not chr(code).isspace() and "Math" not in span["font"]:
                core = (box[0] + 0.7, y - 0.4 * size, box[2] - 0.7, y - 0.05 * size)
                boxes.setdefault(page, []).append((core, chr(code)))
    for page, letters in boxes.items():
        letters.sort(key=lambda letter: letter[0][1])
        for k, ((x0, _, x1, y1), letter) in enumerate(letters):
            for (left, top, right, _), other in letters[k + 1 :]:
                if top > y1:
                    break
                both = min(x1, right) - max(x0, left) > 0.5
                assert not both, f"page {page}: {letter!r} on {other!r}"


def test_notes_keep_out_of_the_text_and_the_text_out_of_them(book):
    for page, span, line in everywhere(book.document):
        start, end = span["bbox"][0], span["bbox"][2]
        small = span["size"] < 8.5
        if not small and start < MARGIN - 20 and end > MARGIN + 3:
            # chapter titles and running heads go across, nothing else does
            assert span["bbox"][1] < 190 or not line.strip(), f"page {page}: {line!r}"


def test_bookmarks_are_the_headings_and_the_pdf_is_tagged(book):
    titles = [title for _, title, _ in book.document.get_toc()]
    assert {"Attention", "Bibliography", "Index", "Listings"} <= {
        re.sub(r"^[\d.A-Z]+ ", "", title) for title in titles
    }
    reader = pypdf.PdfReader(io.BytesIO(book.pdf))
    assert "/StructTreeRoot" in reader.trailer["/Root"]
    assert reader.trailer["/Root"]["/Lang"].startswith("en")
    assert reader.metadata is not None
    assert reader.metadata.title.startswith("Hornbook")


def test_links_out_of_the_book_are_those_of_its_bibliography(book):
    known = set(re.findall(r"url = \{([^}]+)\}", references()))
    outside = {
        link["uri"]
        for page in book.document
        for link in page.get_links()
        if link.get("uri")
    }
    assert outside
    assert outside <= known


def test_every_figure_table_and_listing_is_spoken_of(book):
    """A label nobody refers to is a figure nobody is sent to."""
    for path in (ROOT / "book" / "chapters").glob("*.typ"):
        text = path.read_text(encoding="utf-8")
        labels = re.findall(r"<((?:fig|tab|lst):[\w-]+)>", text)
        for label in labels:
            assert f"@{label}" in text, f"{path.name}: nothing points to {label}"
