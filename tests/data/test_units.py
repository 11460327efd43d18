"""Units are done once, told in order, and forgotten when they were cut by other rules."""

from functools import partial

import pyarrow.parquet as pq
import pytest

from hornbook.data import units as module
from hornbook.data.documents import DocumentFile, documents_file, read_documents
from hornbook.data.engine import ordered_map
from hornbook.data.filter.config import FilterConfig
from hornbook.data.filter.filters import filter_documents
from hornbook.data.units import (
    DocumentUnit,
    basis,
    document_units,
    each_unit,
    join_numbers,
    write_numbers,
)


def do(out, items, workers=1, cut=1, done=None):
    """Facts of all units, and the numbers of those that were done now."""
    done = [] if done is None else done

    def work(number, item):
        if item == "stop":
            raise KeyboardInterrupt
        done.append(number)
        documents_file(out, number).write_text(item)
        return {"item": item}

    mapper = partial(ordered_map, workers=workers, processes=False)
    return list(each_unit(work, items, out, mapper, basis(cut))), done


@pytest.mark.parametrize("workers", [1, 3])
def test_what_an_earlier_attempt_did_is_told_in_its_place(tmp_path, workers):
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        do(tmp_path, ["a", "b", "stop", "d"], workers, done=done)
    assert {0, 1} <= set(done)
    facts, again = do(tmp_path, "abcd", workers)
    assert [fact["item"] for fact, _ in facts] == list("abcd")
    assert [number for number, (_, earlier) in enumerate(facts) if not earlier] == again
    assert sorted({*done, *again}) == [0, 1, 2, 3]
    assert not set(done) & set(again)
    assert do(tmp_path, "abcd", workers)[1] == []


def test_units_cut_by_other_rules_are_forgotten_with_their_files(tmp_path, monkeypatch):
    do(tmp_path, "abcd")
    assert do(tmp_path, "xy", cut=2)[1] == [0, 1]
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == [
        "documents-000000.parquet",
        "documents-000001.parquet",
    ]
    monkeypatch.setattr(module, "__version__", "another")
    assert do(tmp_path, "xy", cut=2)[1] == [0, 1]


def test_units_of_documents_cover_them_in_order_whatever_their_size(
    corpus, monkeypatch
):
    from hornbook.data import documents

    monkeypatch.setattr(documents, "ROW_GROUP_BYTES", 50)
    directory = corpus([f"text {n} " * (n % 7) for n in range(100)])
    expected = [document.id for document in read_documents(directory)]
    for size in (1, 200, 1 << 20):
        monkeypatch.setattr(module, "UNIT_BYTES", size)
        units = list(document_units(directory))
        ids = [i for u in units for t in u.tables(["id"]) for i in t["id"].to_pylist()]
        assert ids == expected
        assert len(units) > 3 or size > 1000


def test_a_stage_without_documents_has_one_empty_unit(corpus):
    assert list(document_units(corpus([]))) == [DocumentUnit((), 0)]


def test_numbers_of_units_become_one_file(tmp_path):
    import pyarrow as pa

    (tmp_path / "units").mkdir()
    for number in (0, 2, 3):
        tables = [pa.table({"id": [f"{number}{k}"], "x": [1.0]}) for k in "ab"]
        write_numbers(tmp_path, number, tables)
    write_numbers(tmp_path, 1, [])
    join_numbers(tmp_path, 4)
    found = pq.read_table(tmp_path / "statistics.parquet")["id"].to_pylist()
    assert found == ["0a", "0b", "2a", "2b", "3a", "3b"]
    join_numbers(tmp_path, 0, "none.parquet")
    assert not (tmp_path / "none.parquet").exists()


def test_a_file_of_documents_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), DocumentFile(tmp_path / "x.parquet"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_other_settings_in_the_same_place_are_heeded(corpus, tmp_path):
    directory = corpus(["a short text", "a text that is longer " * 9])
    for least, kept in ((100, 1), (1, 2), (1000, 0)):
        config = FilterConfig(min_bytes=least, max_duplicate_lines=1)
        facts = filter_documents(config, directory, tmp_path / "out")
        assert facts["documents_out"] == kept
        assert len(list(read_documents(tmp_path / "out"))) == kept
