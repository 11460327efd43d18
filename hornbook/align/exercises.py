"""Exercises for learning from rewards: from the chat data, or from files of one's own."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hornbook.align.chat_files import chat_files, read_records
from hornbook.align.chat_shapes import ANSWER_KEYS, first_of, question_of
from hornbook.align.config import RolloutConfig
from hornbook.align.judge import Exercise, OwnFunction, RewardError
from hornbook.align.messages import ChatData, Conversation, Message, choice
from hornbook.align.rewards import (
    called_functions,
    defines,
    is_json,
    parses,
    passes_tests,
    same_number,
)
from hornbook.core.errors import UserError

REQUEST = re.compile(r"^(?:Write a|Define) .*?`(?P<name>\w+)\((?P<arguments>[^`]*)\)`")
TEST_KEYS = ("tests", "test_list", "test")
Make = Callable[[list[Message], str, dict[str, Any]], Exercise | None]


def exercises_from(
    config: RolloutConfig, conversations: Sequence[Conversation]
) -> list[Exercise]:
    """Every conversation's first question that ``config.reward`` can judge an answer to."""
    make = maker(config)
    found = []
    for conversation in conversations:
        roles = [message["role"] for message in conversation.messages]
        end = roles.index("assistant")
        prompt, answer = conversation.messages[:end], conversation.messages[end]
        exercise = make(prompt, answer["content"], {"answer": answer["content"]})
        found += [exercise] if exercise else []
    return found


def exercises_of_files(
    config: RolloutConfig, holdout: float
) -> tuple[list[Exercise], list[Exercise], list[str]]:
    """Exercises to learn from, others to be judged by, and what could not be read.

    Records need a prompt and what their reward asks for: an answer, or tests. They are held
    out by the hash of their prompt.
    """
    make, sides = maker(config), (ChatData(), ChatData())
    found: tuple[list[Exercise], list[Exercise]] = ([], [])
    for path in chat_files(Path(config.path).expanduser(), "path"):
        for place, record in read_records(path):
            try:
                prompt, exercise = _from_record(record, make)
            except ValueError as error:
                sides[0].skipped.append(f"{place}: {error}")
                continue
            share = choice(prompt[0]["content"], "holdout", 10_000) / 10_000
            found[share < holdout].append(exercise)
    if not found[0]:
        first = (sides[0].skipped or ["the files are empty"])[0]
        raise UserError(f"'path': no exercise in {config.path}; {first}.")
    return *found, sides[0].skipped


def _from_record(record: Any, make: Make) -> tuple[list[Message], Exercise]:
    if not isinstance(record, dict):
        raise ValueError(record if isinstance(record, str) else "not an object")
    prompt = question_of(record)
    if prompt is None:
        raise ValueError(f"no prompt, its keys are {', '.join(record) or 'none'}")
    exercise = make(prompt, str(first_of(record, ANSWER_KEYS) or ""), record)
    if exercise is None:
        raise ValueError("it lacks what the reward asks for (an answer, or tests)")
    return prompt, exercise


def maker(config: RolloutConfig) -> Make:
    """How an exercise is made of a prompt, the known answer and the record they are from.

    It gives None for what the reward can't judge. Raises :class:`UserError` for a reward
    that doesn't exist.
    """
    kinds: dict[str, Make] = {
        "defines": lambda prompt, answer, record: code_exercise(prompt),
        "parses": lambda prompt, answer, record: Exercise(prompt, parses),
        "json": lambda prompt, answer, record: Exercise(prompt, is_json),
        "answer": _number_exercise,
        "model": lambda prompt, answer, record: Exercise(prompt, no_reward),
        "tests": partial(_tested_exercise, config.seconds),
    }
    if config.reward in kinds:
        return kinds[config.reward]
    if config.reward == "regex":
        return _pattern_maker(config)
    if ".py:" in config.reward:
        function = OwnFunction(config.reward, config.seconds)

        def own(prompt: list[Message], answer: str, record: dict[str, Any]) -> Exercise:
            asked = prompt[-1]["content"]
            return Exercise(prompt, lambda text: function(asked, text, record))

        return own
    known = ", ".join([*kinds, "regex"])
    raise UserError(
        f"'reward' is '{config.reward}'; it can be {known}, or a function of your own "
        "as file.py:name."
    )


def no_reward(answer: str) -> float:
    """Of an exercise that another judge rewards."""
    raise RewardError("a reward model judges this exercise")


def _number_exercise(
    prompt: list[Message], answer: str, record: dict[str, Any]
) -> Exercise | None:
    known = any(c.isdigit() for c in answer)
    return Exercise(prompt, partial(same_number, expected=answer)) if known else None


def _tested_exercise(
    seconds: float, prompt: list[Message], answer: str, record: dict[str, Any]
) -> Exercise | None:
    tests = first_of(record, TEST_KEYS)
    tests = "\n".join(tests) if isinstance(tests, list) else tests
    functions = called_functions(tests) if isinstance(tests, str) else ()
    if not functions:
        return None
    setup = str(record.get("test_setup_code") or "")
    reward = partial(
        passes_tests, tests=f"{setup}\n{tests}", functions=functions, seconds=seconds
    )
    return Exercise(prompt, reward)


def _pattern_maker(config: RolloutConfig) -> Make:
    """A pattern can take forever on some answer, so it is matched like a user's function."""
    try:
        re.compile(config.pattern)
    except re.error as error:
        raise UserError(f"'pattern' is no regular expression: {error}.") from None
    child = Path(__file__).parent / "pattern_child.py"
    function = OwnFunction(f"{child}:matches", config.seconds)

    def make(prompt: list[Message], answer: str, record: dict[str, Any]) -> Exercise:
        return Exercise(prompt, lambda text: function(config.pattern, text, None))

    return make


def code_exercises(conversations: Sequence[Conversation]) -> list[Exercise]:
    """Every request of the chat data to write a function with a given name."""
    return list(_code_exercises(conversations))


def _code_exercises(conversations: Sequence[Conversation]) -> Iterator[Exercise]:
    for conversation in conversations:
        exercise = code_exercise(conversation.messages[:1])
        if exercise:
            yield exercise


def code_exercise(prompt: list[Message]) -> Exercise | None:
    """A request to write a function with a given name; None when it is something else."""
    request = REQUEST.match(prompt[-1]["content"])
    if not request:
        return None
    named = {"name": request["name"], "arguments": request["arguments"]}
    return Exercise(prompt, partial(defines, **named))
