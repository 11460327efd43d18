"""Every format that a folder may hold, whole and damaged."""

import gzip
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.filter.config import FilterConfig
from hornbook.data.read.config import FilesSource
from hornbook.data.read.extract import extract

EVERYTHING = ("*",)


def read(folder, out, **settings):
    source = FilesSource(path=str(folder), include=EVERYTHING, **settings)
    config = DataConfig(sources=(source,), filters=FilterConfig(enabled=False))
    facts = extract(config, out)
    return {d.path: d.text for d in read_documents(out)}, facts


def write_epub(path, chapters, entity=""):
    items = "".join(
        f'<item id="c{i}" href="c{i}.xhtml"/>' for i in range(len(chapters))
    )
    order = "".join(f'<itemref idref="c{i}"/>' for i in reversed(range(len(chapters))))
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            "META-INF/container.xml",
            f'{entity}<container xmlns="u"><rootfiles><rootfile full-path="o/b.opf"/>'
            "</rootfiles></container>",
        )
        book.writestr(
            "o/b.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest>'
            f"<spine>{order}</spine></package>",
        )
        for number, chapter in enumerate(chapters):
            book.writestr(f"o/c{number}.xhtml", chapter)


def test_every_format_is_read(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    jsonl = b'{"text": "eins"}\n{"text": "zwei"}\n'
    (root / "a.jsonl.gz").write_bytes(
        gzip.compress(jsonl[:17]) + gzip.compress(jsonl[17:])
    )
    (root / "b.jsonl.zst").write_bytes(
        zstandard.compress(jsonl) + zstandard.compress(jsonl)
    )
    (root / "c.txt.gz").write_bytes(gzip.compress("grün".encode()))
    (root / "d.csv").write_text('id,text\n1,"a, b\nc"\n2,d\n', encoding="utf-8")
    pq.write_table(pa.table({"text": ["p", None, "q"]}), root / "e.parquet")
    write_epub(
        root / "f.epub",
        ["<html><head>x</head><p>Second</p></html>", "<p>First &amp; best"],
    )
    found, facts = read(root, tmp_path / "out")
    assert found == {
        "a.jsonl.gz:1": "eins",
        "a.jsonl.gz:2": "zwei",
        "b.jsonl.zst:1": "eins",
        "b.jsonl.zst:2": "zwei",
        "b.jsonl.zst:3": "eins",
        "b.jsonl.zst:4": "zwei",
        "c.txt.gz": "grün",
        "d.csv:1": "a, b\nc",
        "d.csv:2": "d",
        "e.parquet:1": "p",
        "e.parquet:3": "q",
        "f.epub": "First & best\n\nSecond",
    }
    assert facts["skipped_count"] == {"'text' is not a string": 1}


def test_damage_is_named_and_the_rest_is_read(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    lines = b"".join(b'{"text": "%d"}\n' % i for i in range(100_000))
    (root / "cut.jsonl.gz").write_bytes(gzip.compress(lines)[:-2000])
    (root / "bad.jsonl.zst").write_bytes(zstandard.compress(lines)[:-50])
    (root / "bad.parquet").write_bytes(b"PAR1 nothing PAR1")
    (root / "bad.epub").write_bytes(b"PK nothing")
    write_epub(root / "bomb.epub", ["<p>x"], '<!DOCTYPE a [<!ENTITY b "c">]>')
    (root / "other.csv").write_text("name\nx\n")
    (root / "good.txt").write_text("good")
    found, facts = read(root, tmp_path / "out")
    assert found["good.txt"] == "good"
    assert sum(path.startswith("cut") for path in found) > 50_000
    why = {
        entry["path"].split("@")[0].split(":")[0]: entry["reason"]
        for entry in facts["skipped"]
    }
    assert "cut off" in why["cut.jsonl.gz"]
    assert "damaged" in why["bad.jsonl.zst"] or "JSON" in why["bad.jsonl.zst"]
    assert "Parquet" in why["bad.parquet"]
    assert "book" in why["bad.epub"]
    assert "entities" in why["bomb.epub"]
    assert "it has name" in why["other.csv"]


PAGE = (
    "<html><head><title>T</title></head><body><nav><a href='/'>Home</a> <a>About</a></nav>"
    "<article><h1>The letter</h1>"
    + "".join(
        f"<p>Paragraph {i}: the house stood on a hill, and the road that led to it was long "
        "and steep, so that few people came to see the family who lived in it.</p>"
        for i in range(6)
    )
    + "</article><footer>Copyright, all rights reserved</footer></body></html>"
)


@pytest.mark.parametrize("mode", ["fast", "careful", "two-pass"])
def test_the_main_text_of_a_page_is_found(tmp_path, mode):
    pytest.importorskip("resiliparse")
    pytest.importorskip("trafilatura")
    root = tmp_path / "in"
    root.mkdir()
    (root / "page.html").write_text(PAGE)
    (root / "empty.html").write_text("<html><body></body></html>")
    found, facts = read(root, tmp_path / "out", html=mode)
    assert list(found) == ["page.html"]
    assert found["page.html"].count("the house stood on a hill") == 6
    assert "Home" not in found["page.html"]
    assert facts["skipped_count"] == {"a page without main text": 1}


def test_without_the_libraries_the_extra_is_named(tmp_path, monkeypatch):
    from hornbook.core.errors import UserError

    (tmp_path / "trafilatura.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)  # for the process that reads pages
    root = tmp_path / "in"
    root.mkdir()
    (root / "page.html").write_text(PAGE)
    with pytest.raises(UserError, match=r"hornbook\[web\]"):
        read(root, tmp_path / "out", html="careful")
