"""An extractor that hangs, crashes or eats memory on a page costs that page, nothing else."""

import pytest

from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.read.config import FilesSource
from hornbook.data.read.extract import extract

# Stands in for the library, in the worker processes: they find it first.
TRAFILATURA = """
import os, signal, time
from hornbook.data.web import pages
pages.PAGE_SECONDS = 1.0  # from the page after the first on

def extract(page, **_):
    if "hang" in page:
        time.sleep(1000)
    if "exit" in page:
        os._exit(7)
    if "crash" in page:
        os.kill(os.getpid(), signal.SIGABRT)
    if "eat" in page:
        eaten = []
        while True:
            eaten.append(bytes(1 << 30))
    return f"The text of {page[-20:]}"
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_hostile_pages_are_counted_and_the_others_read(tmp_path, monkeypatch, workers):
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "trafilatura.py").write_text(TRAFILATURA)
    monkeypatch.syspath_prepend(planted)
    folder = tmp_path / "pages"
    folder.mkdir()
    for name in ("a", "hang", "b", "exit", "crash", "c", "eat", "hang again", "z"):
        (folder / f"{name}.html").write_text(f"<html><p>page {name}</p></html>")
    source = FilesSource(path=str(folder), include=("*.html",))
    facts = extract(DataConfig(sources=(source,), workers=workers), tmp_path / "out")
    assert {s["path"]: s["reason"] for s in facts["skipped"]} == {
        "hang.html": "extraction took longer than 1 s",
        "hang again.html": "extraction took longer than 1 s",
        "exit.html": "extraction ended the process (exit status 7)",
        "crash.html": "extraction ended the process (SIGABRT)",
        "eat.html": "extraction failed (MemoryError)",
    }
    found = [d.path for d in read_documents(tmp_path / "out")]
    assert found == ["a.html", "b.html", "c.html", "z.html"]
