"""Chat data as it is published, read without conversion."""

import os
from pathlib import Path

import pytest

from hornbook.align.chat_files import read_chat_files
from hornbook.align.config import ChatDataConfig

DATA = Path(
    os.environ.get("HORNBOOK_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")
)


@pytest.mark.parametrize(
    ("name", "records", "preferences"),
    [
        ("dolly", 12_012, False),
        ("gsm8k", 7_473, False),
        ("instruct_raschka", 1_100, False),
        ("pref_raschka", 1_100, True),
        ("oasst", 70, True),
        ("hh_rlhf", 4_666, True),
        ("toolcall", 300, False),
    ],
)
def test_published_sets_are_read_whole(name, records, preferences):
    if not (DATA / name).is_dir():
        pytest.skip(f"the data set {name} is not at {DATA}")
    train, held_out = read_chat_files(ChatDataConfig(path=str(DATA / name)))
    assert train.documents == records
    read = len(train.conversations) + len(held_out.conversations)
    assert read + len(train.skipped) == records
    assert len(train.skipped) < 0.01 * records
    assert bool(train.preferences) == preferences
    share = len(held_out.conversations) / read
    assert 0.03 < share < 0.09
    asked = {c.messages[0]["content"] for c in train.conversations}
    assert not asked & {c.messages[0]["content"] for c in held_out.conversations}
