"""What is cut from pages before rules look, and the lines that RefinedWeb flags."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.documents import (
    Document,
    document_id,
    read_texts,
    write_documents,
)
from hornbook.data.filter.boilerplate import count_boilerplate
from hornbook.data.filter.config import (
    Boilerplate,
    FilterConfig,
)
from hornbook.data.filter.filters import filter_documents
from hornbook.data.filter.linescan import keep_lines
from hornbook.data.filter.pagelines import measure_page_lines, prose_lines

STORY = (
    "The house stood on a hill, and the road that led to number {} was long and bare. "
)
PLAIN = {"min_bytes": 0, "max_duplicate_lines": 1.0}


def run(config, documents, tmp_path):
    config = FilterConfig(boilerplate=config, **PLAIN)
    out = Path(tempfile.mkdtemp(dir=tmp_path))
    return filter_documents(config, documents, out), list(read_texts(out))


def page(number):
    header = "Example News, the paper of the valley"
    return f"{header}\n{STORY.format(number) * 3}\n© Example News 2024, printed daily"


def test_a_line_that_many_documents_of_a_source_hold_is_cut(corpus, tmp_path):
    documents = corpus([page(i) for i in range(12)])
    facts, texts = run(Boilerplate(max_documents=10), documents, tmp_path)
    assert texts == [STORY.format(i) * 3 for i in range(12)]
    assert facts["boilerplate_lines"] == 24
    assert "Example News, the paper of the valley" in facts["boilerplate_examples"]


def test_a_line_of_few_documents_or_of_many_sources_stays(tmp_path, corpus):
    _, texts = run(
        Boilerplate(max_documents=12), corpus([page(i) for i in range(12)]), tmp_path
    )
    assert texts[0].startswith("Example News")
    write_documents(
        (Document(document_id(f"s{i}", "a"), f"s{i}", "a", page(i)) for i in range(12)),
        tmp_path / "many",
    )
    _, texts = run(Boilerplate(max_documents=1), tmp_path / "many", tmp_path)
    assert texts[0].startswith("Example News")


def test_a_line_repeated_within_one_document_counts_once(corpus, tmp_path):
    text = "The refrain of this long song is sung again.\n" * 30
    _, texts = run(Boilerplate(max_documents=2), corpus([text]), tmp_path)
    assert texts == [text]


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ("We use cookies to give you the best experience.", True),
        ("Subscribe to our newsletter", True),
        ("© 2021 Example Ltd. All rights reserved.", True),
        ("Skip to main content", True),
        ("He would not use cookies, she said, in a recipe of that kind.", False),
        ("The baker showed how we use cookies " + "and cakes and pies " * 9, False),
        ("rewe use cookies", False),  # a phrase begins where a word does
    ],
)
def test_notices_are_short_lines_with_a_known_phrase(corpus, tmp_path, line, cut):
    text = f"{STORY.format(1)}\n{line}\n{STORY.format(2)}"
    _, texts = run(Boilerplate(), corpus([text]), tmp_path)
    assert (line not in texts[0]) is cut
    assert STORY.format(2).strip() in texts[0]


MENU = "Home\nAbout us\nProducts\nShop\nBlog\nContact\nLogin"


def test_menus_are_cut_and_short_dialogue_is_not(corpus, tmp_path):
    talk = "Yes.\nNo.\n“Why?”\nBecause, sir.\nI see.\nGood.\nWell then!"
    texts = [f"{MENU}\n{STORY.format(1)}", f"{talk}\n{STORY.format(2)}"]
    texts += ["\n".join(MENU.split("\n")[:5]) + f"\n{STORY.format(3)}"]  # too few
    _, found = run(Boilerplate(navigation_run=6), corpus(texts), tmp_path)
    assert [t.strip() for t in found] == [
        STORY.format(1).strip(),
        *(t.strip() for t in texts[1:]),
    ]
    _, found = run(Boilerplate(navigation_run=0), corpus(texts, name="off"), tmp_path)
    assert [t.strip() for t in found] == [t.strip() for t in texts]


def test_source_code_is_left_alone(corpus, tmp_path):
    code = "import os\nimport sys\n\ntry:\n    pass\nexcept\nfinally\nelse\nfor\nwhile\nend\n"
    code += "# All rights reserved.\n"
    documents = corpus({f"{i}.py": f"{code}{i}" for i in range(20)})
    _, texts = run(Boilerplate(max_documents=2), documents, tmp_path)
    assert texts == [f"{code}{i}" for i in range(20)]


def test_no_line_is_counted_too_low(corpus):
    random = np.random.default_rng(3)
    lines = [f"a line of some length, number {i}" for i in range(400)]
    texts = ["\n".join(random.choice(lines, 40)) for _ in range(60)]
    counts = count_boilerplate(Boilerplate(), corpus(texts))
    true = sum(lines[7] in text.split("\n") for text in texts)
    assert counts.table.max() >= true
    assert int(counts.table[0].astype(int).sum()) >= sum(
        len(set(text.split("\n"))) for text in texts
    ) * 0.9  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab\n é"), max_size=12), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_keeping_lines_is_what_python_would_do(texts, random):
    lines = [text.split("\n") for text in texts]
    kept = [[random.random() < 0.7 for _ in part] for part in lines]
    flat = np.array([k for part in kept for k in part], bool)
    found = keep_lines(pa.array(texts, pa.large_string()), flat).to_pylist()
    for text, part, keep, got in zip(texts, lines, kept, found, strict=True):
        chosen = "\n".join(x for x, k in zip(part, keep, strict=True) if k)
        assert got == (text if all(keep) else chosen.strip("\n"))


@pytest.mark.parametrize(
    ("line", "flagged"),
    [
        ("BUY NOW WHILE STOCKS LAST", True),
        ("He worked for NASA and then for the BBC.", False),
        ("12 345 678", True),
        ("3 likes", True),
        ("1.2k Views", True),
        ("3 likes and a comment from a friend", False),
        ("Home", True),
        ("Sign-in to go on reading", True),
        ("The story goes on, read more...", True),
        ("2 items in cart", True),
        (
            "There were two items in cart number nine, he told the guard at the door.",
            False,
        ),
        ("", False),
    ],
)
def test_lines_without_prose(line, flagged):
    text = f"{STORY.format(1)}\n{line}\n{STORY.format(2)}"
    kept = prose_lines(pa.array(["x y", text], pa.large_string()), 0.5)
    assert kept.tolist() == [True, True, not flagged, True]
    share = measure_page_lines(pa.array([text], pa.large_string()), 0.5)
    words = len(text.split())
    expected = len(line.split()) / words if flagged else 0
    assert share["flagged_word_share"][0] == pytest.approx(expected)


PROSE = (
    "The house stood on a hill, and the road that led to it was long. Nobody had come up "
    "for years, but in the spring of that year a letter arrived.\n"
    "It was addressed to the owner, who had been dead for a decade. The postman did not "
    "know what to do with it, so he left it under the stone beside the door.\n"
    "When the rain came the ink ran, and with it went the only copy of the will.\n"
)


@pytest.mark.parametrize("preset", ["refinedweb", "dclm"])
def test_under_refinedweb_a_few_such_lines_go_and_many_take_the_page_along(
    corpus, tmp_path, preset
):
    texts = [PROSE + "3 likes\nHome", PROSE + "4 LIKES\nHOME\nSIGN-IN NOW\n7 8 9 10 11"]
    config = FilterConfig(preset=preset)
    facts = filter_documents(config, corpus(texts), tmp_path / "out")
    assert list(read_texts(tmp_path / "out")) == [PROSE.strip()]
    assert list(facts["reasons"]) == ["refinedweb: lines without prose"]
