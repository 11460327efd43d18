"""Electronic books: an .epub is a zip file of XHTML chapters in the order of its spine."""

import posixpath
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import IO
from urllib.parse import unquote
from xml.etree import ElementTree

from hornbook.data.read.sources import Skip
from hornbook.data.web.html import BadPage, decode_page

MAX_CHAPTER_BYTES = 4 << 20
MAX_BOOK_BYTES = 256 << 20  # a zip file can hold far more than its size
BLOCKS = {
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "li",
    "tr",
    "blockquote",
    "br",
}
NOT_TEXT = {"script", "style", "head"}


def read_epub(path: str, handle: IO[bytes], skip: Skip) -> Iterator[tuple[str, str]]:
    """One document per book: its chapters in reading order."""
    try:
        with zipfile.ZipFile(handle) as book:
            chapters = [_chapter(book, name, path, skip) for name in spine(book)]
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, ValueError) as error:
        skip(path, f"damaged book ({error})")
        return
    yield path, "\n\n".join(filter(None, chapters))


def spine(book: zipfile.ZipFile) -> list[str]:
    """The names of the chapters' files, in reading order."""
    container = _xml(book, "META-INF/container.xml")
    roots = [e for e in container.iter() if e.tag.endswith("rootfile")]
    if not roots:
        raise ValueError("its container names no package")
    package = roots[0].attrib["full-path"]
    tree = _xml(book, package)
    files = {
        e.attrib["id"]: e.attrib["href"] for e in tree.iter() if e.tag.endswith("}item")
    }
    order = [e.attrib["idref"] for e in tree.iter() if e.tag.endswith("}itemref")]
    folder = posixpath.dirname(package)
    return [posixpath.join(folder, unquote(files[name])) for name in order]


def _xml(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    raw = _read(book, name)
    if b"<!ENTITY" in raw:  # entities that multiply, or name files: no book needs them
        raise ValueError(f"{name} declares entities")
    return ElementTree.fromstring(raw)


def _read(book: zipfile.ZipFile, name: str) -> bytes:
    if sum(entry.file_size for entry in book.infolist()) > MAX_BOOK_BYTES:
        raise ValueError(f"larger than {MAX_BOOK_BYTES >> 20} MiB")
    with book.open(name) as file:
        raw = file.read(MAX_CHAPTER_BYTES + 1)
    if len(raw) > MAX_CHAPTER_BYTES:
        raise ValueError(f"{name} is larger than {MAX_CHAPTER_BYTES >> 20} MiB")
    return raw


def _chapter(book: zipfile.ZipFile, name: str, path: str, skip: Skip) -> str:
    try:
        page = decode_page(_read(book, name))
    except (BadPage, KeyError, zipfile.BadZipFile) as error:
        skip(f"{path}/{name}", f"damaged chapter ({error})")
        return ""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\x00"))
    return "\n".join(filter(None, lines))


class _Reader(HTMLParser):
    """Collects the text of a chapter; a NUL stands where a block ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag opens."""
        self._hidden += tag in NOT_TEXT
        if tag in BLOCKS:
            self.parts.append("\x00")

    def handle_endtag(self, tag: str) -> None:
        """A tag closes."""
        self._hidden -= tag in NOT_TEXT and self._hidden > 0
        if tag in BLOCKS:
            self.parts.append("\x00")

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        if not self._hidden:
            self.parts.append(data.replace("\x00", ""))
