"""Pages to texts: what the careful extractor is asked about, and what it is spared."""

import pytest

from hornbook.data.filter.config import FilterConfig
from hornbook.data.web import pages as module
from hornbook.data.web.html import fast_text, looks_doubtful
from hornbook.data.web.pages import page_texts

pytest.importorskip("resiliparse")
pytest.importorskip("trafilatura")

SENTENCE = (
    "The lighthouse keeper walked down to the harbour every morning before the sun came up, "
    "and counted the boats that had returned during the night."
)
PARAGRAPHS = "".join(f"<p>{SENTENCE} That was number {i}.</p>" for i in range(6))
ARTICLE = f"<html><body><article>{PARAGRAPHS}</article></body></html>"
NOTES = "".join(f"<p>Harbour number {i}</p>" for i in range(40))
CAREFUL = f"The careful text: {SENTENCE} " * 3
LINES = f"<html><body><article>{NOTES}{PARAGRAPHS}</article></body></html>"


def test_prose_is_trusted_and_a_list_of_links_is_not():
    assert not looks_doubtful("\n".join([SENTENCE] * 3))
    assert not looks_doubtful("“Is it far?”\n" + SENTENCE)
    assert looks_doubtful("Home\nNews\nSport\n" + SENTENCE)
    assert not looks_doubtful("")


def test_a_long_text_is_trusted_whatever_its_lines():
    names = "\n".join(f"Harbour number {i}" for i in range(2000))
    assert looks_doubtful(names[:2000])
    assert not looks_doubtful(names)


def test_headers_and_footers_are_no_main_text():
    page = f"<body><header><h1>Port news</h1></header>{ARTICLE}<footer>© us</footer></body>"
    text = fast_text(page)
    assert SENTENCE in text
    assert "Port news" not in text
    assert "©" not in text


def test_two_passes_ask_the_careful_extractor_only_about_doubtful_pages(monkeypatch):
    asked = []

    def careful(page):
        asked.append(page)
        return CAREFUL

    monkeypatch.setattr(module, "careful_text", careful)
    pages = [("article", ARTICLE), ("lines", LINES)]
    found = dict(page_texts(pages, "two-pass", FilterConfig(), lambda *skip: None))
    assert asked == [LINES]
    assert SENTENCE in found["article"]
    assert found["lines"] == CAREFUL


def test_a_second_pass_that_finds_next_to_nothing_leaves_the_first_text(monkeypatch):
    monkeypatch.setattr(module, "careful_text", lambda page: "Port news")
    found = dict(page_texts([("lines", LINES)], "two-pass", FilterConfig(), print))
    assert SENTENCE in found["lines"]


def test_a_page_that_the_rules_drop_keeps_its_text_and_costs_no_second_pass(
    monkeypatch,
):
    monkeypatch.setattr(module, "careful_text", lambda page: pytest.fail("asked"))
    config = FilterConfig(min_bytes=10**6)
    found = dict(page_texts([("p", LINES)], "two-pass", config, lambda *skip: None))
    assert "Harbour number 3" in found["p"]
