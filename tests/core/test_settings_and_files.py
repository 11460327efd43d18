"""Files are whole or absent; settings errors were tested through the recipe."""

import pytest

from hornbook.core import files
from hornbook.core.errors import UserError
from hornbook.core.progress import Progress, duration, short_number


def test_a_write_that_fails_leaves_the_old_file_and_no_partial_one(tmp_path):
    path = tmp_path / "facts.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), files.atomic_file(path) as handle:
        handle.write(b"half")
        raise RuntimeError
    assert files.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["facts.json"]


def test_publishing_replaces_a_directory_as_a_whole(tmp_path):
    final = tmp_path / "stage"
    for content in ("old", "new"):
        partial = files.fresh_directory(tmp_path / "stage.partial")
        files.write_text(partial / content, content)
        files.publish_directory(partial, final)
    assert [p.name for p in final.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["stage"]


def test_damaged_and_missing_json_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.json does not exist"):
        files.read_json(tmp_path / "gone.json")
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(UserError, match=r"cut\.json is not valid JSON"):
        files.read_json(tmp_path / "cut.json")


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (12_345, "12.3k"), (1_234_567, "1.23M"), (2.5e12, "2.5T")],
)
def test_numbers_are_shortened_to_three_digits(value, text):
    assert short_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(42, "42 s"), (185, "3 min 05 s"), (7_800, "2 h 10 min")]
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_progress_off_a_terminal_prints_plain_lines_with_share_rate_and_note(
    capsys, monkeypatch
):
    monkeypatch.setattr("hornbook.core.progress.PLAIN_INTERVAL", 0.0)
    with Progress("dedup", total=4, unit="doc") as progress:
        progress.advance(2, note="loss 1.5")
    error = capsys.readouterr().err
    assert "dedup  50%" in error
    assert "doc/s" in error
    assert "left, loss 1.5" in error
    assert "\x1b" not in error
