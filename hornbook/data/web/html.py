"""The main text of a web page, without its menus, banners and footers.

Two libraries do the work: resiliparse is fast, trafilatura finds the text more exactly.
Pages are cheap to judge, so the second pass over them is only for those worth keeping.
"""

import re
from typing import Any

from hornbook.core.errors import UserError
from hornbook.data.read.decode import NotText, decode

MAX_PAGE_CHARACTERS = 4 << 20  # extraction time can grow faster than a page's size
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
    """Main text by resiliparse: about 100 MB of HTML per second, F1 0.86 on its peers' test."""
    parser = _library("resiliparse.parse.html", "resiliparse")
    extract = _library("resiliparse.extract.html2text", "resiliparse")
    _check(page)
    try:
        tree = parser.HTMLTree.parse(page)
        return extract.extract_plain_text(tree, main_content=True, alt_texts=False)
    except Exception as error:  # whatever a hostile page provokes in the library
        raise BadPage(f"extraction failed ({type(error).__name__})") from None


def careful_text(page: str) -> str:
    """Main text by trafilatura: about 10 MB of HTML per second, F1 0.92."""
    trafilatura = _library("trafilatura", "trafilatura")
    _check(page)
    try:
        found = trafilatura.extract(page, include_comments=False, fast=True)
    except Exception as error:
        raise BadPage(f"extraction failed ({type(error).__name__})") from None
    return found or ""


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
