"""Rewards that a program checks, and what becomes of those that fail."""

import time

import numpy as np
import pytest

from hornbook.align.arithmetic import SHRUG, arithmetic
from hornbook.align.config import GRPOConfig
from hornbook.align.exercises import exercises_from, exercises_of_files, maker
from hornbook.align.judge import Exercise, Judge, OwnFunction, RewardError
from hornbook.align.messages import Conversation, assistant, user
from hornbook.align.rewards import (
    called_functions,
    code_of,
    is_json,
    parses,
    passes_tests,
    same_number,
)
from hornbook.core.errors import UserError
from hornbook.train.config import TrainConfig


def config(**settings):
    return GRPOConfig(train=TrainConfig(steps=1), **settings)


@pytest.mark.parametrize(
    ("answer", "expected", "reward"),
    [
        ("42", "42", 1),
        ("It is 1,000 in all.", "#### 1000", 1),
        ("3 + 4 = 7\n#### 7", "7", 1),
        ("so \\boxed{1/2}", "0.5", 1),
        ("$12.50", "12.5", 1),
        ("7, not 8", "7", 0),  # the last number counts
        ("#### 7\nor 8?", "7", 1),  # unless one is marked
        ("-3", "3", 0),
        ("none", "3", 0),
        ("", "3", 0),
        ("1/0", "3", 0),
        ("9" * 5000, "3", 0),
    ],
)
def test_final_numbers_are_compared_by_value(answer, expected, reward):
    assert same_number(answer, expected) == reward


TESTS = "assert double(2) == 4\nassert double(0) == 0"


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ("def double(x):\n    return 2 * x", 1),
        ("Sure!\n```python\ndef double(x):\n    return 2 * x\n```\nDone.", 1),
        ("def double(x):\n    return x", 0),
        ("import sys\nsys.exit(0)", 0),  # ending early is no solution
        ("class E:\n    def __eq__(s, o): return True\ndef double(x): return E()", 0),
        ("def double(x):\n    while True: pass", 0),
        ("def double(x:", 0),
        ("", 0),
    ],
)
def test_code_is_tested_in_the_sandbox(answer, reward):
    assert passes_tests(answer, TESTS, called_functions(TESTS), 1.0) == reward


def test_what_the_tests_call_is_what_an_answer_must_provide():
    assert called_functions("def near(a): ...\nassert near(f(1)) == len(g(2))") == (
        *("f", "g"),
    )
    assert code_of("no marks") == "no marks"


def test_formats():
    assert is_json('{"a": 1}') == 1
    assert is_json("```json\n[1, 2]\n```") == 1
    assert is_json("{'a': 1}") == 0
    assert is_json("[1]", ("a",)) == 0
    assert is_json('{"a": 1}', ("a",)) == 1
    assert parses("x = 1") == 1
    assert parses("x =") == 0
    assert parses("") == 0


def test_a_pattern_must_match_the_whole_answer_and_may_not_take_forever():
    exercise = maker(config(reward="regex", pattern="(a+)+b", seconds=0.5))(
        [user("?")], "", {}
    )
    assert exercise.reward("aaab") == 1
    assert exercise.reward("aaab.") == 0
    with pytest.raises(RewardError, match="longer than"):
        exercise.reward("a" * 60)
    assert exercise.reward("ab") == 1  # it goes on after that
    with pytest.raises(UserError, match="no regular expression"):
        maker(config(reward="regex", pattern="("))


OWN = """
import time
print("loading")
def judged(prompt, answer, record):
    print("noise on standard output")
    if answer == "raise":
        raise ValueError("no")
    if answer == "hang":
        time.sleep(60)
    if answer == "die":
        import os
        os._exit(3)
    if answer == "nan":
        return float("nan")
    return len(answer) / 10 + (prompt == "?") + record["bonus"]
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return f"{path}:judged"


def test_a_function_of_ones_own_may_raise_hang_or_die(own):
    exercise = maker(config(reward=own, seconds=0.5))([user("?")], "", {"bonus": 2})
    answers = ["abcde", "raise", "hang", "die", "nan", "abcde"]
    judge = Judge()
    started = time.monotonic()
    rewards, failed = judge([exercise] * len(answers), answers)
    assert time.monotonic() - started < 20
    assert rewards.tolist() == pytest.approx([3.5, 0, 0, 0, 0, 3.5])
    assert failed.tolist() == [0, 1, 1, 1, 1, 0]
    assert judge.failed == 4
    listed = "; ".join(judge.faults)
    for word in ("ValueError (no)", "longer than 0.5 s", "no finite number"):
        assert word in listed


def test_a_reward_that_never_works_is_refused_in_one_sentence():
    def broken(answer):
        raise ZeroDivisionError("division by zero")

    with pytest.raises(UserError, match=r"failed for all 3 answers: it raised Zero"):
        Judge()([Exercise([user("?")], broken)] * 3, ["a", "b", "c"])


def test_a_function_that_is_not_there_is_refused(own, tmp_path):
    path = own.rpartition(":")[0]
    with pytest.raises(UserError, match="defines no 'other'"):
        OwnFunction(f"{path}:other", 1.0)
    with pytest.raises(UserError, match=r"names no function"):
        OwnFunction(f"{tmp_path}/none.py:f", 1.0)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    with pytest.raises(UserError, match="ModuleNotFoundError"):
        OwnFunction(f"{tmp_path}/broken.py:f", 1.0)
    with pytest.raises(UserError, match="'reward' is 'best'; it can be defines"):
        maker(config(reward="best"))


def test_exercises_of_files_hold_out_by_prompt_and_list_what_is_broken(tmp_path):
    lines = [f'{{"question": "{i}+1?", "answer": "{i + 1}"}}' for i in range(40)]
    lines += ["{broken", '{"answer": "1"}', '{"question": "why?", "answer": "so"}']
    (tmp_path / "sums.jsonl").write_text("\n".join(lines))
    settings = config(reward="answer", path=str(tmp_path))
    train, held_out, skipped = exercises_of_files(settings, 0.2)
    assert len(train) + len(held_out) == 40
    assert held_out
    assert [s.split(": ")[0].rpartition("line ")[2] for s in skipped] == [
        *("41", "42", "43"),
    ]
    asked = {e.prompt[0]["content"] for e in train}
    assert not asked & {e.prompt[0]["content"] for e in held_out}
    with pytest.raises(UserError, match=r"'path': no exercise in .*lacks what"):
        exercises_of_files(config(reward="tests", path=str(tmp_path)), 0.2)


def test_exercises_of_the_chat_data_are_those_the_reward_can_judge():
    chats = [
        Conversation([user("2+2?"), assistant("4")]),
        Conversation([user("Why?"), assistant("Because.")]),
    ]
    (exercise,) = exercises_from(config(reward="answer"), chats)
    assert exercise.reward("It is 4") == 1
    assert len(exercises_from(config(reward="parses"), chats)) == 2


def test_arithmetic_is_right_and_its_sides_are_apart():
    train, held_out = arithmetic(0.1, 20_000)
    asked = [c.messages[0]["content"] for c in train.conversations]
    others = {c.messages[0]["content"] for c in held_out.conversations}
    assert not others & set(asked)
    assert len(asked) + len(others) == 10_000 + 5_050
    assert 0.07 < len(others) / 15_050 < 0.13
    shrugs = 0
    for chat in train.conversations[:1000]:
        question, answer = (m["content"] for m in chat.messages)
        shrugs += answer == SHRUG
        assert answer == SHRUG or eval(question.removesuffix("=?")) == int(answer)
    assert 250 < shrugs < 450
    exercises = exercises_from(config(reward="answer"), train.conversations[:1000])
    assert len(exercises) == 1000 - shrugs
    assert not any(exercise.reward(SHRUG) for exercise in exercises)
    assert len(arithmetic(0.1, 50)[0].conversations) == 50
    assert np.array_equal(
        *(
            [c.messages[0]["content"] for c in arithmetic(0.1, 50)[0].conversations]
            for _ in "ab"
        )
    )
