"""Passages that better documents have are cut, nothing else: against plain Python."""

import random
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data import documents as docs
from hornbook.data.arrow import text_buffers
from hornbook.data.dedup import pieces
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.stage import dedup
from hornbook.data.documents import Document, document_id, read_documents

LONGER = (
    1000  # words per shingle: more than these texts have, so only exact duplicates go
)


def run(texts, tmp_path, config, order=None):
    items = [
        Document(document_id("s", str(i)), "s", str(i), t) for i, t in enumerate(texts)
    ]
    docs.write_documents(
        [items[i] for i in order or range(len(items))], tmp_path / "in"
    )
    facts = dedup(config, tmp_path / "in", tmp_path / "out")
    return {int(d.path): d.text for d in read_documents(tmp_path / "out")}, facts


def ranked(texts):
    """Indices from the longest to the shortest; exact copies left out."""
    key = lambda i: (-len(texts[i].encode()), document_id("s", str(i)))  # noqa: E731
    best = {}
    for i in sorted(range(len(texts)), key=key):
        best.setdefault(texts[i], i)
    return sorted(best.values(), key=key)


def cut(text, spans):
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return text


def merged(spans):
    result = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def reference(texts, find):
    """``find(text)`` gives ``(key, start, end)`` of each piece; the first key stays."""
    seen, left = set(), {}
    for i in ranked(texts):
        gone = []
        for key, start, end in find(texts[i]):
            gone += [(start, end)] if key in seen else []
            seen.add(key)
        left[i] = cut(texts[i], merged(gone))
    return left


def find_lines(text, least):
    at = 0
    for line in text.splitlines(keepends=True):
        if len(line.strip().encode()) >= max(least, 1):
            yield line.strip(), at, at + len(line)
        at += len(line)


def find_paragraphs(text, least):
    lines, at, begin, blank = text.splitlines(keepends=True), 0, None, True
    found = []
    for line in [*lines, None]:
        if line is None or (blank and line.strip()):
            if begin is not None:
                found.append((begin, at))
            begin = at
        if line is not None:
            blank = not line.strip()
            at += len(line)
    for start, end in found:
        if len(text[start:end].strip().encode()) >= max(least, 1):
            yield text[start:end].strip(), start, end


def find_runs(text, n):
    words = [(m.group().lower(), m.start(), m.end()) for m in re.finditer(r"\w+", text)]
    for i in range(len(words) - n + 1):
        run_ = words[i : i + n]
        yield tuple(word for word, _, _ in run_), run_[0][1], run_[-1][2]


few_lines = st.lists(
    st.lists(
        st.sampled_from(
            ["", "  ", "one line", " one line", "two é lines", "three", "}", "x y"]
        ),
        max_size=8,
    ).map("\n".join),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(few_lines, st.integers(0, 9), st.randoms(), st.sampled_from([9, 10**9]))
@pytest.mark.parametrize("kind", ["lines", "paragraphs"])
def test_lines_and_paragraphs(kind, tmp_path_factory, texts, least, shuffle, row_group):
    find = find_lines if kind == "lines" else find_paragraphs
    config = DedupConfig(
        ngram=LONGER, min_repeat=max(least, 1), min_left=0, **{kind: True}
    )
    order = list(range(len(texts)))
    shuffle.shuffle(order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docs, "ROW_GROUP_BYTES", row_group)
        left, _ = run(texts, tmp_path_factory.mktemp("p"), config, order)
    assert left == reference(texts, lambda text: find(text, least))


few_words = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d,", "E", "é."]), max_size=20).map(
        " ".join
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=80, deadline=None)
@given(few_words, st.integers(1, 5), st.randoms())
def test_runs_of_words(tmp_path_factory, texts, words, shuffle):
    config = DedupConfig(ngram=LONGER, spans=words, min_left=0)
    order = list(range(len(texts)))
    shuffle.shuffle(order)
    left, _ = run(texts, tmp_path_factory.mktemp("p"), config, order)
    assert left == reference(texts, lambda text: find_runs(text, words))


def test_a_long_passage_is_cut_wherever_it_stands(tmp_path):
    random.seed(1)
    names = [f"w{i}" for i in range(5000)]
    passage = " ".join(random.choices(names, k=80))
    texts = []
    for _ in range(30):
        words = random.choices(names, k=300)
        words.insert(random.randrange(300), passage)
        texts.append(" ".join(words))
    left, facts = run(texts, tmp_path, DedupConfig(spans=50))
    assert sum(passage in text for text in left.values()) == 1
    assert all(len(re.findall(r"\w+", text)) >= 299 for text in left.values())
    cuts = pq.read_table(tmp_path / "out" / "cuts.parquet").to_pylist()
    assert len(cuts) == 29
    assert facts["cut_bytes"]["spans"] == sum(row["spans"] for row in cuts)
    assert facts["bytes_out"] == facts["bytes_in"] - facts["cut_bytes"]["spans"]


def test_documents_left_too_short_go_with_the_reason(tmp_path):
    shared = "\n".join(
        f"This is the shared line number {i} of all the pages" for i in range(9)
    )
    texts = [
        shared + "\nand a good deal of text of its own " * 9,
        shared + "\nshort",
        "tiny",
    ]
    left, facts = run(texts, tmp_path, DedupConfig(ngram=LONGER, lines=True))
    assert sorted(left) == [0, 2]
    assert facts["reasons"]["too little left"]["documents"] == 1
    assert facts["examples"]["too little left"][0]["note"] == "5 bytes"


def test_what_an_earlier_run_has_is_cut(tmp_path):
    line = "A line of text that the earlier run has as well, word for word."
    run([line + "\nearlier"], tmp_path / "old", DedupConfig())
    config = DedupConfig(
        lines=True, min_left=0, against=(str(tmp_path / "old" / "out"),)
    )
    left, _ = run(
        [line + "\nnew and much longer than the one that was"], tmp_path / "new", config
    )
    assert left == {0: "new and much longer than the one that was"}


def test_pieces_of_a_slice_begin_where_they_say():
    texts = pa.array(["skipped " * 9, "one two three"], pa.large_string()).slice(1)
    buffer, offsets = text_buffers(texts)
    hashes, places, ends = pieces.runs(buffer, offsets, 2)
    assert [bytes(buffer[a:b]).decode() for a, b in places] == ["one two", "two three"]
    assert (len(hashes), ends.tolist()) == (2, [0, 2])
