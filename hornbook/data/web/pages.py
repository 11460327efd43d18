"""Pages to texts, in one pass or in two: extract fast, judge, extract the good ones again."""

from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa

from hornbook.data.filter.config import FilterConfig
from hornbook.data.pool import GivenUp, at
from hornbook.data.read.clean import normalize
from hornbook.data.read.config import HtmlMode
from hornbook.data.read.sources import Skip
from hornbook.data.web.html import BadPage, careful_text, fast_text, looks_doubtful

BATCH = 64  # pages judged together
PAGE_SECONDS = 30.0  # for the text of one page
LEAST = 0.2  # of the first pass's text; a second that finds less lost the article

Page = tuple[str, str]  # its path, and HTML (or the text taken from it)


def page_texts(
    pages: Iterable[Page], mode: HtmlMode, filters: FilterConfig, skip: Skip
) -> Iterator[Page]:
    """The main text of each page, by the way that ``mode`` names.

    In two passes the careful one is for pages that the filters would keep, and of which the
    text of the fast one looks doubtful; where it finds next to nothing, the first text
    stays. A page that the filters drop keeps its text too, so that the filter stage counts
    it under its own reason.
    """
    source = iter(pages)
    while batch := list(islice(source, BATCH)):
        texts = [_extract(page, mode == "careful", skip) for page in batch]
        good = [len(text) > 0 for text in texts]
        if mode == "two-pass":
            kept = _worth_keeping(texts, filters)
            good = [
                k and looks_doubtful(text) for k, text in zip(kept, texts, strict=True)
            ]
        for page, text, again in zip(batch, texts, good, strict=True):
            better = (
                _extract(page, True, skip)
                if again and text and mode == "two-pass"
                else ""
            )
            if len(better) < LEAST * len(text):
                better = text
            if better:
                yield page[0], better


def _extract(page: Page, careful: bool, skip: Skip) -> str:
    try:
        at(page[0], "extraction", PAGE_SECONDS)
        text = careful_text(page[1]) if careful else fast_text(page[1])
    except (BadPage, GivenUp) as error:
        skip(page[0], str(error))
        return ""
    if not text.strip():
        skip(page[0], "a page without main text")
        return ""
    return text


def _worth_keeping(texts: list[str], filters: FilterConfig) -> list[bool]:
    if not filters.enabled:
        return [True] * len(texts)
    from hornbook.data.filter.filters import judge  # they load Numba
    from hornbook.data.filter.measures import measure_table
    from hornbook.data.filter.rules import rules, with_preset

    config = with_preset(filters)
    column = pa.array([normalize(text) for text in texts], pa.large_string())
    columns = measure_table(pa.table({"text": column}), config)
    return (judge(columns, rules(config), config) < 0).tolist()
