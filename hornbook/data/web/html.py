"""The main text of a web page, without its menus, banners and footers.

Two libraries do the work: resiliparse is fast, trafilatura finds the text more exactly.
Pages are cheap to judge, so the second pass over them is only for those worth keeping.
"""

import re
from typing import Any

from hornbook.core.errors import UserError
from hornbook.data.read.decode import NotText, decode

MAX_PAGE_CHARACTERS = 4 << 20  # extraction time can grow faster than a page's size
FRAGMENT_WORDS = 12  # an open line of fewer words is a fragment
LONG = 20_000  # characters of text that no menu has
CLOSED = (*".!?:;…。", *(mark + quote for mark in ".!?…" for quote in "\"”’»')"))
META_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE
)


class BadPage(Exception):
    """A page no text comes out of; the message says why."""


def decode_page(raw: bytes, charset: str = "") -> str:
    """The characters of an HTML page: by the header, the page's own word, or its bytes.

    Raises :class:`BadPage` for what is not text.
    """
    declared = META_CHARSET.search(raw, 0, 4096)
    for name in (charset, declared[1].decode("ascii") if declared else ""):
        try:
            return raw.decode("cp1252" if name in ("iso-8859-1", "latin-1") else name)
        except (LookupError, UnicodeDecodeError, ValueError):
            continue
    try:
        return decode(raw)[0]
    except NotText:
        pass
    text = raw.decode("utf-8", "replace")
    if text.count("\ufffd") > 0.02 * len(text):
        raise BadPage("a page in an unknown encoding")
    return text


def fast_text(page: str) -> str:
    """Main text by resiliparse, about ten times as fast as :func:`careful_text`.

    Page and article headers and footers (titles, bylines, dates) are left out.
    """
    parser = _library("resiliparse.parse.html", "resiliparse")
    extract = _library("resiliparse.extract.html2text", "resiliparse")
    _check(page)
    try:
        tree = parser.HTMLTree.parse(page)
        return extract.extract_plain_text(
            tree, main_content=True, alt_texts=False, skip_elements=["header", "footer"]
        )
    except Exception as error:  # whatever a hostile page provokes in the library
        raise BadPage(f"extraction failed ({type(error).__name__})") from None


def careful_text(page: str) -> str:
    """Main text by trafilatura: slow, and the better one on pages that are mostly not text."""
    trafilatura = _library("trafilatura", "trafilatura")
    _check(page)
    try:
        found = trafilatura.extract(page, include_comments=False, fast=True)
    except Exception as error:
        raise BadPage(f"extraction failed ({type(error).__name__})") from None
    return found or ""


def looks_doubtful(text: str) -> bool:
    """Whether most lines of an extracted text are fragments, as menus and link lists are.

    Where they are, the fast extractor has often taken the wrong part of the page. A long
    text is the right one, whatever its lines, and the dearest to extract again.
    """
    if len(text) > LONG:
        return False
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    fragments = sum(
        not line.endswith(CLOSED) and line.count(" ") < FRAGMENT_WORDS - 1
        for line in lines
    )
    return 2 * fragments > len(lines)


def _check(page: str) -> None:
    if len(page) > MAX_PAGE_CHARACTERS:
        raise BadPage(f"a page of more than {MAX_PAGE_CHARACTERS >> 20} Mi characters")


def _library(module: str, package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(
            f"Reading HTML needs the package {package}: pip install 'hornbook[web]'."
        ) from None
