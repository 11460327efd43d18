"""Exercises: right answers pass, usual mistakes get a hint, an empty worksheet neither."""

import importlib
import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from hornbook.cli import commands
from hornbook.core.errors import UserError
from hornbook.exercises import CHAPTERS, Wrong, exercises_in, judge, worksheet

ANSWERS = Path(__file__).parent / "answers"


def answers(number):
    path = ANSWERS / f"chapter{number:02d}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXERCISES = [
    (number, exercise["name"])
    for number, path in CHAPTERS.items()
    for exercise in exercises_in(path)
]


@pytest.mark.parametrize(("number", "name"), EXERCISES)
def test_a_right_answer_passes_and_a_usual_mistake_gets_a_hint(number, name):
    module = importlib.import_module(f"hornbook.exercises.chapter{number:02d}")
    check = getattr(module, f"check_{name}")
    given = answers(number)
    check(getattr(given, name))
    with pytest.raises(Wrong, match=r"\w.*\."):
        check(getattr(given, f"wrong_{name}"))


@pytest.mark.parametrize("number", CHAPTERS)
def test_an_empty_worksheet_runs_and_every_exercise_in_it_is_empty(number, tmp_path):
    path = tmp_path / "sheet.py"
    path.write_text(worksheet(number))
    assert {verdict.state for verdict in judge(number, path)} == {"empty"}


@pytest.mark.parametrize(("number", "name"), EXERCISES)
def test_every_exercise_says_what_to_do(number, name):
    texts = {e["name"]: e["text"] for e in exercises_in(CHAPTERS[number])}
    assert len(texts[name]) > 40


def test_the_command_writes_a_worksheet_once_and_then_judges_it(tmp_path):
    path = tmp_path / "mine.py"
    run = CliRunner().invoke
    assert f"Wrote {path}" in run(commands, ["check", "5", str(path)]).output
    empty = path.read_text()
    judged = run(commands, ["check", "5", str(path)])
    assert judged.exit_code == 1
    assert "· 5.1 weights: not written yet" in judged.output
    assert path.read_text() == empty
    path.write_text(empty.replace("raise NotImplementedError", "return 1 / 0", 1))
    assert "✗ 5.1 weights: line " in run(commands, ["check", "5", str(path)]).output
    path.write_text((ANSWERS / "chapter05.py").read_text())
    judged = run(commands, ["check", "5", str(path)])
    assert judged.exit_code == 0
    assert "4 of 4 right." in judged.output


def test_a_worksheet_that_does_not_run_ends_in_a_sentence(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def weights(:\n")
    with pytest.raises(UserError, match=r"mine.py does not run: line 1"):
        judge(5, path)


def test_a_chapter_without_exercises_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="Chapter 77 has no exercises"):
        worksheet(77)
