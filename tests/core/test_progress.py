"""Progress tells the rate of this attempt, not of what an earlier one had done."""

import pytest

from hornbook.core import progress as module
from hornbook.core.progress import Progress


def test_what_was_done_earlier_counts_for_the_share_but_not_for_the_rate(
    monkeypatch, capsys
):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    with Progress("extract", total=100, unit="MB") as progress:
        progress.advance(60, earlier=True)
        clock[0] = 10.0
        progress.advance(20, "7 documents")
    assert progress.rate() == pytest.approx(2)
    line = capsys.readouterr().err.splitlines()[0]
    assert line == "extract  80%  2 MB/s, 10 s left, 7 documents"
