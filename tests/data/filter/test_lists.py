"""Address and word lists: against plain searching, and what users get told."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.documents import read_documents
from hornbook.data.filter.config import FilterConfig
from hornbook.data.filter.filters import filter_documents
from hornbook.data.filter.lists import phrase_tree, read_addresses

PROSE = "The house stood on a hill, and the road that led to it was long and bare. " * 4


@pytest.fixture
def a_list(tmp_path):
    def write(*lines, name="list.txt"):
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize(
    ("address", "blocked"),
    [
        ("https://example.com/", True),
        ("http://user@www.Example.com:8080/a", True),
        ("https://notexample.com/", False),
        ("https://example.com.org/", False),
        ("https://a.bad.xxx/", True),
        ("https://shop.org/casino/start", True),
        ("https://shop.org/casinos", False),
        ("https://winbigjackpot.net/", True),
        ("example.com/no/scheme", True),
        ("https://example.org/example.com", False),
    ],
)
def test_domains_parts_and_top_level_domains(a_list, address, blocked):
    path = a_list(
        "# a comment", "example.com  # with one", ".xxx", "/casino/", "jackpot"
    )
    addresses, _ = read_addresses((path,), False)
    assert addresses.block(address) is blocked


@pytest.mark.parametrize("part", ["/porn-law-debate", "?ref=casino", ""])
def test_the_built_in_list_looks_at_hosts_alone(part):
    addresses, _ = read_addresses((), True)
    assert not addresses.block(f"https://news.example{part}")
    assert addresses.block(f"https://freeporn-example.com{part}")


WORDS = ["bad", "very bad", "worse than bad", "悪い", "naïve"]
pieces = st.sampled_from(
    [
        "bad",
        "very",
        "worse",
        "than",
        "Bad",
        "badly",
        "naïve",
        "悪い",
        "、",
        ".",
        "x_bad",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=30).map(" ".join))
def test_words_and_phrases_are_found_as_a_plain_search_finds_them(text):
    hits, words = phrase_tree(tuple(WORDS)).count(
        pa.array(["a", text], pa.large_string())
    )
    found = re.findall(r"\w+", text.lower().replace("悪い", " 悪 い "))
    entries = [e.replace("悪い", "悪 い").split() for e in WORDS]
    expected = sum(
        any(found[i : i + len(entry)] == entry for entry in entries)
        for i in range(len(found))
    )
    assert hits[1] == expected
    assert words[1] == len(found)


def test_a_document_goes_for_its_words_or_its_address(corpus, tmp_path, a_list):
    config = FilterConfig(
        word_blocklist=(a_list("verboten", "two words", name="words.txt"),),
        url_blocklist=(a_list("evil.example", name="urls.txt"),),
    )
    documents = corpus(
        {
            "https://good.example/a": PROSE,
            "https://www.evil.example/a": PROSE,
            "evil.example.txt": PROSE,  # a file, not an address
            "b.txt": PROSE + "This is Verboten!",
            "c.txt": PROSE + "two  words",
            "d.txt": PROSE + "two other words",
            "https://spam.example/": PROSE + "online casino free spins buy viagra.",
        }
    )
    filter_documents(config, documents, tmp_path / "out")
    kept = [d.path for d in read_documents(tmp_path / "out")]
    assert kept == ["https://good.example/a", "evil.example.txt", "d.txt"]
    rows = pq.read_table(tmp_path / "out" / "statistics.parquet").to_pylist()
    assert [row["reason"] for row in rows if row["reason"]] == [
        "blocked address",
        "blocked words",
        "blocked words",
        "adult or spam page",
    ]
    off = FilterConfig(built_in_lists=False)
    facts = filter_documents(off, documents, tmp_path / "off")
    assert facts["documents_out"] == 7


def test_a_share_may_be_allowed(corpus, tmp_path, a_list):
    config = FilterConfig(
        word_blocklist=(a_list("verboten"),),
        max_blocked_words=100,
        max_blocked_word_share=0.05,
    )
    texts = [PROSE + "verboten", PROSE + "verboten " * 20]
    facts = filter_documents(config, corpus(texts), tmp_path / "out")
    assert facts["documents_out"] == 1


def test_entries_that_can_match_nothing_are_named(corpus, tmp_path, a_list):
    config = FilterConfig(word_blocklist=(a_list("word", "🖕"),))
    facts = filter_documents(config, corpus([PROSE]), tmp_path / "out")
    assert facts["list_entries_ignored"] == ["🖕"]


def test_a_list_that_is_missing_or_empty_is_refused(corpus, tmp_path, a_list):
    for path, said in (
        (str(tmp_path / "no.txt"), "cannot be read"),
        (a_list("#"), "no entries"),
    ):
        config = FilterConfig(word_blocklist=(path,))
        with pytest.raises(UserError, match=said):
            filter_documents(config, corpus([PROSE], name=said), tmp_path / "out")
