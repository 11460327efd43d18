"""The press stops for what would make the book untrue."""

import pytest
import typst

from book.press.build import fonts, inputs
from book.press.extract import ROOT, listings, symbols
from book.press.sheet import pictures
from hornbook.core.errors import UserError

HEAD = '#import "/book/press/press.typ": *\n#show: book\n= Test\n'


def press(text):
    return typst.Compiler(
        (HEAD + text).encode(), root=ROOT, font_paths=fonts(), sys_inputs=inputs()
    ).compile(format="pdf")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('#listing("model.attention.renamed")', "no symbol `model.attention.renamed`"),
        (
            '#listing("model.attention.soft_cap", from: "gone from the source")',
            "no line holds `gone from the source`",
        ),
        (
            '#listing("model.attention.soft_cap", notes: ("nowhere": [note]))',
            "no line holds `nowhere`",
        ),
        ("#claim(1 > 2)[one is more than two]", "no longer support"),
        ('#measured("bench/results/model.json", "measurd")', "has no `measurd`"),
        ('#bar("model", "no such bar")', "has no bar `no such bar`"),
        ('#preset("gpt9").total', "no preset called `gpt9`"),
        ("#exercises(99)", "no exercises for chapter 99"),
        ("@fig:nowhere", "label `<fig:nowhere>` does not exist"),
        ("#data-table((1fr, 1fr), ([a], [b]), (([1],),))", "has 1 cells, not 2"),
    ],
)
def test_what_does_not_exist_or_hold_stops_the_press(text, complaint):
    with pytest.raises(typst.TypstError) as stopped:
        press(text)
    assert complaint in str(stopped.value.diagnostic)


def test_symbols_are_cut_with_their_decorators_and_true_lines(tmp_path):
    path = tmp_path / "room" / "file.py"
    path.parent.mkdir()
    path.write_text(
        "import x\n\nLIMIT = 3\n\n\nclass A:\n    @x\n    def f(self):\n        return 1\n"
        "\n\ndef twice():\n    pass\n\n\ndef twice():\n    pass\n"
    )
    table = dict(symbols(path, "room.file", tmp_path / "room"))
    assert table["room.file.LIMIT"]["start"] == 3
    method = table["room.file.A.f"]
    assert (method["start"], method["end"]) == (7, 9)
    assert method["code"] == "@x\ndef f(self):\n    return 1"
    assert method["file"] == "room/file.py"
    assert "room.file.twice" not in table  # which of the two?


def test_the_table_of_listings_holds_the_package():
    table = listings()
    assert table["model.attention.Attention.forward"]["code"].startswith("def forward")
    assert table["model.blocked.BLOCK"]["code"].startswith("BLOCK = ")


def test_a_reference_in_two_files_is_an_error(tmp_path, monkeypatch):
    from book.press import facts

    (tmp_path / "refs").mkdir()
    for name in ("a.bib", "b.bib"):
        (tmp_path / "refs" / name).write_text("@misc{same,\n title = {T}}\n")
    monkeypatch.setattr(facts, "BOOK", tmp_path)
    with pytest.raises(UserError, match=r"'same' is in a.bib and in b.bib"):
        facts.references()


def test_pages_become_pictures_and_one_sheet(book, tmp_path):
    pdf = tmp_path / "book.pdf"
    pdf.write_bytes(book.pdf)
    made = pictures(pdf, tmp_path / "out", 1, 2, dpi=30)
    assert [p.name for p in made] == ["page-001.png", "page-002.png", "sheet.png"]
    assert all(p.stat().st_size > 500 for p in made)
