"""Tables as programs and people write them: delimiters, quoting, encodings, column types."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.read.config import FilesSource
from hornbook.data.read.extract import extract
from hornbook.data.read.tables import read_csv


def read(file, out, **settings):
    source = FilesSource(path=str(file), **settings)
    facts = extract(DataConfig(sources=(source,)), out)
    return [d.text for d in read_documents(out)], facts


ROWS = [["1", "eins, zwei; drei"], ["2", 'say "vier"'], ["3", "fünf\nsechs"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_delimiters_and_encodings_are_told_from_the_file(tmp_path, delimiter, encoding):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([["id", "text"], *ROWS])
    file = tmp_path / "t.csv"
    file.write_bytes(out.getvalue().encode(encoding))
    assert read(file, tmp_path / "out")[0] == [text for _, text in ROWS]


def test_tsv_without_quoting_keeps_lone_quotation_marks(tmp_path):
    file = tmp_path / "t.tsv"
    file.write_text('id\ttext\n1\t"Hello\n2\tsaid, he\n3\tthe "end"\n')
    texts, facts = read(file, tmp_path / "out")
    assert texts == ['"Hello', "said, he", 'the "end"']
    assert facts["skipped"] == []


def test_the_column_decides_between_delimiters(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b,c;my text;d\n1,2;hello, you, there;3\n")
    assert read(file, tmp_path / "out", text_key="my text")[0] == ["hello, you, there"]


def test_rows_in_another_encoding_are_counted_not_mangled(tmp_path):
    file = tmp_path / "t.csv"
    good = "".join(f"{n},good {n}\n" for n in range(20_000))
    file.write_bytes(b"id,text\n" + good.encode() + b"x,gr\xfcn\n")
    texts, facts = read(file, tmp_path / "out")
    assert len(texts) == 20_000
    assert facts["skipped_count"] == {"not utf-8-sig": 1}
    assert facts["skipped"][0]["path"] == "t.csv:20001"
    texts, _ = read(file, tmp_path / "two", encoding="cp1252")
    assert texts[-1] == "grün"


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8))
def test_what_the_csv_module_writes_is_read(rows):
    out = io.StringIO()
    csv.writer(out).writerows([("id", "text"), *rows])
    handle = io.BufferedReader(io.BytesIO(out.getvalue().encode()))  # type: ignore[arg-type]
    found = list(read_csv("x", handle, "text", lambda *_: None))
    assert [text for _, text in found] == [text for _, text in rows]


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pa.array([["a"], ["b"]]), "holds list"),
        (pa.array([{"a": "x"}, {"a": "y"}]), "holds struct"),
        (pa.array([1, 2]), "holds int64"),
    ],
)
def test_a_column_that_is_no_text_is_one_clear_reason(tmp_path, column, why):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": column}), tmp_path / "in/x.parquet")
    (tmp_path / "in/y.txt").write_text("else")
    _, facts = read(tmp_path / "in", tmp_path / "out", include=("*",))
    assert facts["skipped_count"] == {"the column is no text": 1}
    assert why in facts["skipped"][0]["reason"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
)
def test_every_kind_of_string_column_is_read(tmp_path, kind):
    column = pa.array(["grün", None, "x"]).cast(kind)
    pq.write_table(pa.table({"text": column}), tmp_path / "x.parquet")
    texts, facts = read(tmp_path / "x.parquet", tmp_path / "out")
    assert texts == ["grün", "x"]
    assert facts["skipped_count"] == {"'text' is not a string": 1}


RECORDS = [{"text": "eins"}, {"text": "zwei", "more": [1]}, {"other": 1}]


@pytest.mark.parametrize(
    "write",
    [
        lambda: json.dumps(RECORDS),
        lambda: json.dumps(RECORDS, indent=2),
        lambda: "\n".join(map(json.dumps, RECORDS)),
    ],
    ids=["list", "indented", "lines"],
)
def test_json_files_of_records_are_read_as_records(tmp_path, write):
    file = tmp_path / "x.json"
    file.write_text(write())
    texts, facts = read(file, tmp_path / "out")
    assert texts == ["eins", "zwei"]
    assert facts["skipped_count"] == {"no key 'text'": 1}


@pytest.mark.parametrize("text", ['{"name": "hornbook"}\n', "[1, 2]\n", "{broken\n"])
def test_other_json_is_a_text(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text)
    assert read(file, tmp_path / "out")[0] == [text]


def test_a_long_first_record_of_a_json_file_is_a_record_too(tmp_path):
    file = tmp_path / "x.json"
    file.write_text("\n".join(json.dumps({"text": c * 100_000}) for c in "ab"))
    assert [t[0] for t in read(file, tmp_path / "out")[0]] == ["a", "b"]


def test_an_encoding_can_be_named(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_bytes("Привет, мир".encode("koi8-r"))
    texts, _ = read(tmp_path / "in", tmp_path / "out", encoding="koi8-r")
    assert texts == ["Привет, мир"]
    for wrong in ("koi9", "hex"):
        with pytest.raises(UserError, match=f"'encoding' '{wrong}'"):
            read(tmp_path / "in", tmp_path / "out", encoding=wrong)


def test_markup_is_left_as_it_is(tmp_path):
    rst = "Title\n=====\n\nA paragraph that\nwraps.\n\n.. note::\n\n   in here\n"
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.rst").write_text(rst)
    (tmp_path / "in/b.md").write_text(rst)
    texts, _ = read(tmp_path / "in", tmp_path / "out", join_lines=True)
    assert texts == [rst, rst]
