"""Crawl archives to pages: which records hold a document, and what was skipped of the rest."""

from collections.abc import Iterator
from itertools import groupby
from typing import IO

from hornbook.data.read.sources import Note, Skip
from hornbook.data.web.html import BadPage, decode_page
from hornbook.data.web.http import parse_answer, parse_content_type
from hornbook.data.web.warc import BadRecord, Record, read_records
from hornbook.data.web.wat import title_and_description

HTML_TYPES = ("text/html", "application/xhtml+xml", "")
SILENT = ("request", "warcinfo", "revisit", "dnsinfo")  # never hold a page


def read_crawl(
    path: str, handle: IO[bytes], wat_titles: bool, skip: Skip, note: Note
) -> Iterator[tuple[str, str, bool]]:
    """``(place, text, is it HTML?)`` of each record that holds a page.

    A place is ``path:number``; in a gzip file ``path@offset``, where the record's member
    begins, and ``path@offset:number`` for the later ones of a member.
    Requests, archive headers and revisits are passed over; every other record without a
    page is skipped with its reason. ``note`` hears each page's url. Of WAT records, which
    hold no page, ``wat_titles`` takes title and description.
    """
    for place, record in _places(path, read_records(path, handle, skip)):
        if record.kind in SILENT:
            continue
        try:
            text, is_html = _page(record, wat_titles)
        except (BadRecord, BadPage) as error:
            skip(f"{place} {record.url[:200]}", str(error))
            continue
        if record.url:
            note(place, {"url": record.url})
        yield place, text, is_html


def _places(path: str, records: Iterator[Record]) -> Iterator[tuple[str, Record]]:
    for member, same in groupby(records, key=lambda record: record.member):
        start = path if member is None else f"{path}@{member}"
        for number, record in enumerate(same):
            first = number == 0 and member is not None
            yield start if first else f"{start}:{number}", record


def _page(record: Record, wat_titles: bool) -> tuple[str, bool]:
    if record.kind == "conversion":  # WET: the text is taken out already
        return record.payload.decode("utf-8", "replace"), False
    if record.kind == "metadata":
        if wat_titles:
            return title_and_description(record.payload), False
        raise BadRecord("a metadata record (it holds no page; see 'wat_titles')")
    body, media_type, charset = record.payload, "", ""
    if record.kind == "response" and not _other_protocol(record):
        answer = parse_answer(record.payload)
        if answer.status != 200:
            raise BadRecord(f"HTTP status (it is {answer.status})")
        body, media_type, charset = answer.body, answer.media_type, answer.charset
    else:
        media_type, charset = parse_content_type(record.headers.get("content-type", ""))
    if media_type in HTML_TYPES:
        return decode_page(body, charset), True
    if media_type == "text/plain":
        return decode_page(body, charset), False
    raise BadRecord(f"content type (it is {media_type[:60]})")


def _other_protocol(record: Record) -> bool:
    """Whether a response is of DNS or FTP, which have no HTTP head."""
    return record.url.startswith(("dns:", "ftp:", "whois:"))
