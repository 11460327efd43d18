"""The project's headers and footers go, the book and every other text stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.data.config import DataConfig
from hornbook.data.documents import read_texts
from hornbook.data.read.config import FilesSource
from hornbook.data.read.extract import extract
from hornbook.data.read.gutenberg import cut_gutenberg

BOOK = (
    "THE LAMP\n\nby A. Writer\n\nCHAPTER I\n\n"
    "It was late when the lamp went out, and nobody\nthought of lighting it again.\n\n"
    "[Illustration: the lamp]\n\n* * *\n\nThe morning came.\n\nTHE END\n"
)
LICENCE = (
    "\n\nUpdated editions will replace the previous one.\n*** START: FULL LICENSE ***\n"
)

HEADERS = {
    "modern": "The Project Gutenberg eBook of The Lamp\n\nTitle: The Lamp\n\n"
    "*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***\n",
    "this": "\ufeffProject Gutenberg's The Lamp, by A. Writer\n\n"
    "*** START OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***\n",
    "without blanks": "Title\n\n***START OF THE PROJECT GUTENBERG EBOOK THE LAMP***\n",
    "a title that wraps": "x\n*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP: A TALE OF\n"
    "TWO CITIES AND A ROOM ***\n",
    "mark left open": "x\n*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP\n",
    "etext": "**The Project Gutenberg Etext of The Lamp**\n\n"
    "*** START OF THE PROJECT GUTENBERG ETEXT THE LAMP ***\n",
    "small print": "**The Project Gutenberg Etext of The Lamp**\n\n***START**THE SMALL PRINT!"
    "**FOR PUBLIC DOMAIN ETEXTS**START***\nWhy is this here?\n"
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n",
    "older small print": "Project Gutenberg Etext\n\n"
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.10.06.94*END*\n",
    "both": "*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***\n\nThe small print:\n"
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*\n",
    "Windows lines": "Title\r\n\r\n*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***\r\n",
}
FOOTERS = {
    "modern": "\n*** END OF THE PROJECT GUTENBERG EBOOK THE LAMP ***" + LICENCE,
    "this": "\nEnd of Project Gutenberg's The Lamp, by A. Writer\n\n"
    "*** END OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***\n" + LICENCE,
    "plain": "\nEnd of the Project Gutenberg EBook of The Lamp, by A. Writer\n"
    + LICENCE,
    "loud": "\nTHE END OF THE PROJECT GUTENBERG ETEXT OF THE LAMP\n",
    "without blanks": "\n***END OF THE PROJECT GUTENBERG EBOOK THE LAMP***\n" + LICENCE,
    "licence only": "\n*** START: FULL LICENSE ***\n\nTHE FULL PROJECT GUTENBERG LICENSE\n",
    "none": "",
}
CREDITS = {
    "none": "",
    "produced": "\n\nProduced by Ann Other and the Online Distributed\nProofreading Team.\n\n",
    "e-text": "\nE-text prepared by Ann Other\n\n\nNote: Images of it are available.\n\n",
    "etext": "\nThis etext was prepared by Ann Other, ann@example.org\n\n",
    "transcribed": "\nTranscribed from the 1890 edition by Ann Other.\n\n",
    "note": "\n[Transcriber's Note: Italics are shown\n\nlike _this_. A line was lost.]\n\n",
    "heading": "\nTRANSCRIBER’S NOTES:\n\nObvious errors were corrected.\n\n",
    "both": "\nProduced by Ann Other\n\n[Transcriber's note: spelling kept.]\n\n",
}


@pytest.mark.parametrize("footer", FOOTERS)
@pytest.mark.parametrize("header", HEADERS)
def test_every_header_and_footer_goes(header, footer):
    assert cut_gutenberg(HEADERS[header] + "\n" + BOOK + FOOTERS[footer]) == BOOK


@pytest.mark.parametrize("credit", CREDITS)
def test_credits_and_notes_go_with_the_header(credit):
    text = HEADERS["modern"] + CREDITS[credit] + BOOK + FOOTERS["modern"]
    assert cut_gutenberg(text) == BOOK


def test_notes_at_the_end_go_and_other_brackets_stay():
    note = "\n[Transcriber's Note: the lamp is spelt as printed.]\n"
    picture = BOOK + "\n[Illustration: the end]\n"
    assert cut_gutenberg(HEADERS["this"] + BOOK + note + FOOTERS["this"]) == BOOK
    assert cut_gutenberg(HEADERS["this"] + picture + FOOTERS["this"]) == picture


@pytest.mark.parametrize(
    "text",
    [
        BOOK,
        "Produced by Ann Other\n\n" + BOOK,
        "Johannes Gutenberg printed the Bible; Project Gutenberg prints everything.\n",
        "End of Project Gutenberg's better days, said the editor.\n",
        "* START of a list about Gutenberg\n* END of it\n",
        "",
    ],
)
def test_a_text_without_marks_stays_as_it_is(text):
    assert cut_gutenberg(text) is text


@given(st.text(st.sampled_from("ab*\n []'"), max_size=300), st.booleans())
def test_no_text_without_marks_is_ever_touched(text, mentions):
    text = text + ("\nGutenberg, small print\n" if mentions else "")
    assert cut_gutenberg(text) is text


@given(
    st.lists(st.sampled_from([*HEADERS.values(), *FOOTERS.values(), BOOK, "*" * 50])),
)
def test_any_order_of_marks_ends_and_cutting_again_finds_nothing(parts):
    once = cut_gutenberg("\n".join(parts))
    assert len(once) <= sum(map(len, parts)) + len(parts) + 1
    cut_gutenberg(once)


def test_the_files_source_counts_what_it_cut_and_leaves_code_alone(tmp_path):
    book = HEADERS["modern"] + BOOK + FOOTERS["modern"]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/book.txt").write_text(book)
    (tmp_path / "in/plain.txt").write_text(BOOK)
    (tmp_path / "in/marks.py").write_text(book)
    source = FilesSource(path=str(tmp_path / "in"))
    facts = extract(DataConfig(sources=(source,)), tmp_path / "out")
    assert facts["mended"]["Gutenberg header and footer cut"]["documents"] == 1
    assert sorted(read_texts(tmp_path / "out")) == sorted([BOOK, BOOK, book])
    whole = FilesSource(path=str(tmp_path / "in"), gutenberg=False)
    extract(DataConfig(sources=(whole,)), tmp_path / "whole")
    assert sorted(read_texts(tmp_path / "whole")) == sorted([BOOK, book, book])
