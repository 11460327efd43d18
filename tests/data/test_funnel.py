"""The funnel adds up, caps its examples, and shows text as text."""

import json

import pyarrow as pa
from rich.console import Console

from hornbook.data.documents import SCHEMA, Document
from hornbook.data.funnel import Tally, rows, table


def facts():
    tally = Tally("filter")
    for number in range(30):
        text = "[bold red]not markup[/]" * 100 if number % 3 else "x"
        document = Document(str(number), "s", f"{number}.txt", text)
        tally.take(1, len(text))
        if number % 2:
            tally.drop(document, "too [short]")
        else:
            tally.keep(1, len(text))
    tally.skip("a.bin", "binary (NUL)")
    tally.skip("b.bin", "binary (PNG)")
    return tally.facts()


def test_what_goes_in_comes_out_or_is_dropped():
    found = facts()
    assert json.loads(json.dumps(found)) == found
    dropped = found["reasons"]["too [short]"]
    assert found["documents_in"] == found["documents_out"] + dropped["documents"]
    assert found["bytes_in"] == found["bytes_out"] + dropped["bytes"]
    assert len(found["examples"]["too [short]"]) == 10
    assert all(len(e["text"]) <= 300 for e in found["examples"]["too [short]"])
    assert found["skipped_count"] == {"binary": 2}


def test_the_table_shows_every_row_and_no_markup():
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table([facts(), facts()]))
    shown = console.export_text()
    assert shown.count("too [short]") == 2
    assert "2 skipped in filter" in shown


def test_rows_are_plain_data_with_shares():
    first, dropped, *_ = rows([facts()])
    assert (first["stage"], first["documents"]) == ("filter", 15)
    assert dropped["documents"] == -15
    assert abs(first["share"] + dropped["share"] - 1) < 1e-9


def test_sources_are_counted_apart_and_shown_where_there_are_several():
    texts = {"a": ["one", "two"], "b": ["däy"]}
    documents = [
        {"id": text, "source": source, "path": text, "text": text}
        for source, group in texts.items()
        for text in group
    ]
    table_ = pa.Table.from_pylist(documents, SCHEMA)
    tally, whole = Tally("filter"), Tally("filter")
    tally.take_table(table_)
    tally.keep_table(table_.slice(1))
    for _ in range(2):
        whole.add(tally.facts())
    assert whole.by_source == {
        "a": {"documents_in": 4, "bytes_in": 12, "documents_out": 2, "bytes_out": 6},
        "b": {"documents_in": 2, "bytes_in": 8, "documents_out": 2, "bytes_out": 8},
    }
    shown = [(row["source"], row["documents"]) for row in rows([whole.facts()])]
    assert shown == [("", 4), ("a", 2), ("b", 2)]
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table([whole.facts()], bytes_per_token=2.0))
    assert "k tokens" in console.export_text()
