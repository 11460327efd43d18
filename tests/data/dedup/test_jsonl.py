"""JSON lines in, JSON lines out: the same decisions as the stage, the same bytes."""

import json

import pytest

from hornbook.core.errors import UserError
from hornbook.data.dedup import records
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.jsonl import dedup_jsonl

LONG = " ".join(f"word{i}" for i in range(200))
TEXTS = [LONG, LONG + " more", "other " + LONG[:400], LONG, "short", "short", "é ü"]


@pytest.mark.parametrize("batch_bytes", [1, 8 << 20])
def test_lines_that_stay_are_copied_byte_for_byte(tmp_path, monkeypatch, batch_bytes):
    monkeypatch.setattr(records, "BATCH_BYTES", batch_bytes)
    lines = [json.dumps({"id": i, "text": text}) for i, text in enumerate(TEXTS)]
    (tmp_path / "in.jsonl").write_text("\n\n".join(lines))
    facts = dedup_jsonl(DedupConfig(), tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    written = (tmp_path / "out.jsonl").read_text().splitlines()
    assert written == [lines[i] for i in (1, 2, 4, 6)]
    assert facts == {"documents_in": 7, "documents_out": 4}


@pytest.mark.parametrize(
    "text", ["", "{}\n", '{"text": "a"}\n{"text": 1}\n', "not json"]
)
def test_what_cannot_be_read_is_named(tmp_path, text):
    (tmp_path / "in.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"in\.jsonl"):
        dedup_jsonl(DedupConfig(), tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
