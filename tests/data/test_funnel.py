"""The funnel adds up, caps its examples, and shows text as text."""

import json

from rich.console import Console

from hornbook.data.documents import Document
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
