"""Who stays, by policy and against earlier runs, and what is left to look at."""

import random

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data import documents as docs
from hornbook.data import units
from hornbook.data.dedup import signatures
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.stage import dedup
from hornbook.data.documents import Document, document_id, read_documents

LONG = " ".join(f"word{i}" for i in range(200))
OTHER = " ".join(f"other{i}" for i in range(200))


def write(rows, folder):
    """``rows`` of (source, path, text)."""
    docs.write_documents(
        (Document(document_id(s, p), s, p, t) for s, p, t in rows), folder
    )
    return folder


def names(folder):
    return [(d.source, d.path) for d in read_documents(folder)]


def rows_of(path):
    return pq.read_table(path).to_pylist()


ROWS = [
    ("web", "a", LONG + " and more words"),
    ("books", "b", LONG),
    ("wiki", "c", LONG + " and"),
]


@pytest.mark.parametrize(
    ("config", "stays"),
    [
        (DedupConfig(keep="longest"), ("web", "a")),
        (DedupConfig(keep="first"), ("web", "a")),
        (
            DedupConfig(keep="best-source", source_order=("books", "web")),
            ("books", "b"),
        ),
        (DedupConfig(keep="best-source", source_order=("wiki",)), ("wiki", "c")),
        (DedupConfig(keep="best-source"), ("web", "a")),
    ],
)
def test_the_policy_says_which_one_stays(tmp_path, config, stays):
    dedup(config, write(ROWS, tmp_path / "in"), tmp_path / "out")
    assert names(tmp_path / "out") == [stays]


def test_first_is_the_first_in_the_corpus(tmp_path):
    documents = write(ROWS[1:] + ROWS[:1], tmp_path / "in")
    dedup(DedupConfig(keep="first"), documents, tmp_path / "out")
    assert names(tmp_path / "out") == [("books", "b")]


some_texts = st.lists(
    st.tuples(
        st.sampled_from(["web", "books", "wiki"]),
        st.lists(st.sampled_from([f"w{i}" for i in range(9)]), max_size=20).map(
            " ".join
        ),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(some_texts, st.integers(0, 10**6), st.sampled_from(["longest", "best-source"]))
def test_no_order_changes_what_stays(tmp_path_factory, texts, seed, keep):
    config = DedupConfig(
        keep=keep, source_order=("wiki", "web"), ngram=2, rows=2, threshold=0.5
    )
    root = tmp_path_factory.mktemp("keep")
    rows = [(source, str(i), text) for i, (source, text) in enumerate(texts)]
    dedup(config, write(rows, root / "in"), root / "one")
    random.Random(seed).shuffle(rows)
    dedup(config, write(rows, root / "shuffled"), root / "two")
    assert sorted(names(root / "one")) == sorted(names(root / "two"))
    for file in ("duplicates.parquet", "clusters.parquet"):
        assert rows_of(root / "one" / file) == rows_of(root / "two" / file)


def test_clusters_can_be_looked_at(tmp_path):
    rows = [*ROWS, ("web", "x", OTHER), ("web", "y", OTHER), ("web", "z", "alone")]
    dedup(DedupConfig(), write(rows, tmp_path / "in"), tmp_path / "out")
    table = rows_of(tmp_path / "out" / "clusters.parquet")
    ids = {document_id(s, p): p for s, p, _ in rows}
    seen = [(row["cluster"], ids[row["doc"]], row["source"]) for row in table]
    assert seen[:3] == [(0, "a", "web"), (0, "c", "wiki"), (0, "b", "books")]
    similar = [row["jaccard"] for row in table]
    assert similar[:3] == sorted(similar[:3], reverse=True)
    assert similar[3:] == [1.0, 1.0]
    assert {seen[3][1], seen[4][1]} == {"x", "y"}
    pairs = rows_of(tmp_path / "out" / "duplicates.parquet")
    assert [pair["cluster_size"] for pair in pairs if not pair["cluster"]] == [3, 3]


@pytest.fixture
def earlier(tmp_path):
    run = tmp_path / "runs" / "earlier"
    rows = [
        ("old", "1", LONG),
        ("old", "2", OTHER),
        ("old", "3", LONG + " too"),
        ("old", "4", "tiny"),
    ]
    dedup(DedupConfig(), write(rows, tmp_path / "old"), run / "dedup")
    return run


NEW = [
    ("new", "near", LONG + " and more and more"),
    ("new", "same", OTHER),
    ("new", "copy", OTHER),
    ("new", "tiny", "tiny"),
    ("new", "fresh", " ".join(f"fresh{i}" for i in range(100))),
]


def test_what_an_earlier_run_has_goes_and_names_its_document(
    tmp_path, earlier, monkeypatch
):
    def signed_again(*_):
        raise AssertionError("the earlier run was signed again")

    config = DedupConfig(against=(str(earlier),))
    new = write(NEW, tmp_path / "in")
    with monkeypatch.context() as patch:
        sign = signatures.sign
        patch.setattr(signatures, "sign", signed_again)
        patch.setattr("hornbook.data.dedup.stage.sign", sign)
        dedup(config, new, tmp_path / "out")
    assert names(tmp_path / "out") == [("new", "fresh")]
    pairs = {
        row["doc"]: row for row in rows_of(tmp_path / "out" / "duplicates.parquet")
    }
    kept = {
        path: pairs[document_id("new", path)]
        for path in ("near", "same", "copy", "tiny")
    }
    assert {row["run"] for row in kept.values()} == {str(earlier)}
    assert kept["near"]["kept"] == document_id("old", "3")
    assert kept["same"]["kept"] == kept["copy"]["kept"] == document_id("old", "2")
    assert kept["tiny"]["kept"] == document_id("old", "4")
    assert [kept[p]["exact"] for p in kept] == [False, True, True, True]
    assert kept["same"]["cluster_size"] == 3  # the earlier one, and two of this run


def test_an_earlier_run_with_other_settings_is_signed_again(tmp_path, earlier):
    new = write(NEW, tmp_path / "in")
    config = DedupConfig(against=(str(earlier / "dedup"),), preset="fineweb", ngram=3)
    dedup(config, new, tmp_path / "out")
    assert names(tmp_path / "out") == [("new", "fresh")]


def test_an_earlier_run_that_is_not_there_is_named(tmp_path):
    config = DedupConfig(against=("runs/nowhere",))
    with pytest.raises(UserError, match=r"data\.dedup\.against: runs/nowhere"):
        dedup(config, write(NEW, tmp_path / "in"), tmp_path / "out")


def test_the_stored_signatures_are_those_of_what_stayed(tmp_path, earlier):
    folder = earlier / "dedup" / "signatures"
    kept = [document_id(*name) for name in names(earlier / "dedup")]
    assert [signatures.id_of(number) for number in np.load(folder / "ids.npy")] == kept
    assert np.load(folder / "keys.npy").shape == (24, len(kept))
    assert not (earlier / "dedup" / "scratch").exists()


def test_memory_does_not_grow_with_the_shingles_of_candidates(tmp_path):
    """Near-identical documents: all are candidates, and their sets stay on the disk."""
    import tracemalloc

    def peak(copies):
        words = [f"word{i}" for i in range(4000)]
        rows = []
        for i in range(copies):
            words[i] = "changed"
            rows.append(("s", str(i), " ".join(words)))
        documents = write(rows, tmp_path / f"in{copies}")
        tracemalloc.start()
        facts = dedup(DedupConfig(), documents, tmp_path / f"out{copies}")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert facts["documents_out"] < copies / 10
        return found

    peak(20)  # compiles
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docs, "ROW_GROUP_BYTES", 1 << 17)
        patch.setattr(units, "UNIT_BYTES", 1 << 17)
        sizes = [peak(n) for n in (100, 400)]
    growth = (sizes[-1] - sizes[0]) / 300
    assert growth < 3000  # bytes per document; its shingles alone are 16 kB
