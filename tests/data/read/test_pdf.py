"""PDF files made here by a real typesetter: their text comes back, hostile ones cost no run."""

import random
import re

import pytest

from hornbook.core.errors import UserError
from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.read import pdf, pdfpages
from hornbook.data.read.config import FilesSource
from hornbook.data.read.extract import extract
from hornbook.data.read.pdf import Line, join_pages, mend_hyphens, pdf_text

needs_pdfium = pytest.mark.skipif(
    pdf.importlib.util.find_spec("pypdfium2") is None, reason="pypdfium2 is missing"
)

DICE = random.Random(0)
WORDS = [
    *(
        "administration",
        "characteristically",
        "communication",
        "straightforward",
        "city",
    ),
    *("the", "a", "of", "office’s", "efficient", "staff", "—", "five", "nothing", "7"),
    *("Zürich", "Київ", "well-known", "misunderstood", "in", "and", "number"),
]
SENTENCES = [
    f"Paragraph {n} says {' '.join(DICE.choices(WORDS, k=DICE.randint(30, 70)))} “at last”."
    for n in range(30)
]


def typeset(body: str, head="The Lamp #h(1fr) A. Writer") -> bytes:
    import typst

    page = (
        f"#set page(width: 11cm, height: 15cm, header: [{head}], "
        "footer: context [Page #counter(page).display()])\n"
        '#set text(hyphenate: true, lang: "en", size: 9pt)\n#set par(justify: true)\n'
    )
    return typst.compile((page + body).encode())


@pytest.fixture(scope="module")
def book() -> bytes:
    return typeset("= The lamp goes out\n\n" + "\n\n".join(SENTENCES))


@needs_pdfium
def test_paragraphs_come_back_whole_without_heads_and_page_numbers(book):
    lines = pdf_text(book).splitlines()
    assert lines[0] == "The lamp goes out"
    assert lines[1:] == SENTENCES


@needs_pdfium
def test_headings_and_lists_keep_their_lines():
    body = "".join(
        f"= Chapter number {n}\n\n{SENTENCES[n]}\n\n- the first thing\n- the second thing\n\n"
        for n in range(8)
    )
    lines = pdf_text(typeset(body)).splitlines()
    assert [line for line in lines if line.startswith("Chapter")] == [
        f"Chapter number {n}" for n in range(8)
    ]
    assert sum(line.startswith("• the first") for line in lines) == 8
    assert all(sentence in lines for sentence in SENTENCES[:8])


@needs_pdfium
def test_columns_are_read_one_after_the_other():
    setting = (
        "#set page(columns: 2)\n#set par(justify: false, first-line-indent: 1.5em)\n"
    )
    text = pdf_text(typeset(setting + "\n\n".join(SENTENCES[:12])))
    assert text.splitlines() == SENTENCES[:12]


@needs_pdfium
def test_a_folder_with_pdf_files_becomes_documents(book, tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    (root / "book.pdf").write_bytes(book)
    (root / "cut.pdf").write_bytes(book[: len(book) // 2])
    (root / "empty.pdf").write_bytes(b"")
    (root / "other.pdf").write_bytes(b"%PDF-1.7\nnothing more")
    (root / "blank.pdf").write_bytes(typeset("", head=""))
    source = FilesSource(path=str(root), include=("*.pdf",))
    facts = extract(DataConfig(sources=(source,)), tmp_path / "out")
    found = {d.path: d.text for d in read_documents(tmp_path / "out")}
    assert SENTENCES[7] in found["book.pdf"]
    assert facts["skipped_count"].get("a PDF that cannot be read", 0) >= 2
    assert len(found) + len(facts["skipped"]) == 5


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(pdf.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"hornbook\[pdf\]"):
        pdf_text(b"")


@needs_pdfium
def test_the_text_of_a_file_is_bounded(book, monkeypatch):
    monkeypatch.setattr(pdfpages, "MAX_CHARACTERS", 1000)
    with pytest.raises(ValueError, match="Mi characters"):
        pdfpages.page_lines(book)


def page(*texts: str) -> list[Line]:
    """Lines one below the other, each as wide as it is long."""
    return [
        Line(text, 50, 700 - 12 * n, 50 + 5 * len(text), 709 - 12 * n)
        for n, text in enumerate(texts)
    ]


def test_running_heads_go_only_where_they_run():
    body = ["The body of every page differs", "from the body of all the others"]
    pages = [
        page(f"The Lamp {n}", *(line + "!" * n for line in body), f"{n}")
        for n in range(9)
    ]
    assert join_pages(pages).count("The Lamp") == 0
    assert join_pages(pages).count("The body of") == 9
    assert not re.search(r"\d", join_pages(pages))
    assert join_pages(pages[:2]).count("The Lamp") == 2  # two pages tell nothing


def test_odd_and_even_pages_may_have_heads_of_their_own():
    heads = ("The Lamp", "A. Writer")
    pages = [page(heads[n % 2], "A body" + "!" * n) for n in range(8)]
    assert not any(head in join_pages(pages) for head in heads)


def test_broken_words_are_mended_as_the_text_itself_writes_them():
    text = "a well-known story of a well\x02known admin\x02istration\x02"
    assert mend_hyphens(text) == "a well-known story of a well-known administration"
