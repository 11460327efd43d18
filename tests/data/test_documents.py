"""Documents survive the round through Parquet, in order and with bounded memory."""

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data import documents as docs
from hornbook.data.documents import (
    Document,
    DocumentFile,
    count_documents,
    document_id,
    documents_file,
    read_documents,
    read_tables,
    read_texts,
    write_documents,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=30, deadline=None)
@given(st.lists(texts, max_size=20))
def test_any_text_comes_back_as_it_was(tmp_path_factory, items):
    out = tmp_path_factory.mktemp("documents")
    written = [
        Document(document_id("s", str(i)), "s", str(i), t) for i, t in enumerate(items)
    ]
    write_documents(written, out)
    assert list(read_documents(out)) == written
    assert list(read_texts(out)) == items
    assert count_documents(out) == len(items)


def test_row_groups_are_cut_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(docs, "ROW_GROUP_BYTES", 100)
    write_documents(
        (Document(str(i), "s", str(i), "x" * 30) for i in range(100)), tmp_path
    )
    (file,) = docs.document_files(tmp_path)
    metadata = pq.read_metadata(file)
    assert metadata.num_row_groups >= 25
    assert all(
        metadata.row_group(g).num_rows <= 4 for g in range(metadata.num_row_groups)
    )
    assert [d.path for d in read_documents(tmp_path)] == [str(i) for i in range(100)]


def test_tables_and_single_documents_can_be_mixed(tmp_path):
    write_documents([Document("1", "s", "a", "one")], tmp_path / "first")
    (tmp_path / "second").mkdir()
    with DocumentFile(documents_file(tmp_path / "second", 0)) as writer:
        writer.write(Document("0", "s", "z", "zero"))
        for table in read_tables(tmp_path / "first"):
            writer.write_table(table)
        writer.write(Document("2", "s", "b", "two"))
    assert list(read_texts(tmp_path / "second")) == ["zero", "one", "two"]
    assert (writer.documents, writer.bytes) == (3, 10)


def test_an_id_depends_on_source_and_path_only():
    assert document_id("a", "b") == document_id("a", "b")
    assert document_id("a", "b") != document_id("b", "a")
    assert document_id("ab", "c") != document_id("a", "bc")
    assert len(document_id("", "")) == 32


def test_a_directory_without_documents_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no documents"):
        list(read_documents(tmp_path))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "documents-000000.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(UserError, match=r"documents-000000\.parquet"):
        list(read_documents(tmp_path))
