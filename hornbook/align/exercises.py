"""Exercises whose answers a program can judge without running them."""

import ast
import re
from collections.abc import Sequence
from functools import partial

from hornbook.align.grpo import Exercise
from hornbook.align.messages import Conversation
from hornbook.evaluate.code import parse

REQUEST = re.compile(r"^(?:Write a|Define) .*?`(?P<name>\w+)\((?P<arguments>[^`]*)\)`")


def code_exercises(conversations: Sequence[Conversation]) -> list[Exercise]:
    """Every request of the chat data to write a function with a given name."""
    exercises = []
    for conversation in conversations:
        asked = conversation.messages[0]
        request = REQUEST.match(asked["content"])
        if request:
            reward = partial(
                defines, name=request["name"], arguments=request["arguments"]
            )
            exercises.append(Exercise([asked], reward))
    return exercises


def defines(answer: str, name: str, arguments: str) -> float:
    """1 if ``answer`` is Python that defines the function asked for and does something.

    Steps on the way count as well, or a model that never succeeds would have nothing to
    learn from: a quarter each for code that parses, that is one function with a body, that
    has the name asked for, and its arguments. The code is never run.
    """
    tree = parse(answer)
    if tree is None or not tree.body:
        return 0.0
    if len(tree.body) != 1 or not isinstance(
        tree.body[0], ast.FunctionDef | ast.AsyncFunctionDef
    ):
        return 0.25
    function = tree.body[0]
    if all(
        isinstance(node, ast.Pass | ast.Expr) and _is_idle(node)
        for node in function.body
    ):
        return 0.25
    if function.name != name:
        return 0.5
    return 1.0 if _parameters(function) == _names(arguments) else 0.75


def _is_idle(node: ast.stmt) -> bool:
    """``pass``, ``...`` or a string: a body that does nothing."""
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    spec = function.args
    listed = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
    stars = [a for a in (spec.vararg, spec.kwarg) if a]
    return sorted(a.arg for a in [*listed, *stars])


def _names(arguments: str) -> list[str]:
    return sorted(part.strip(" *") for part in arguments.split(",") if part.strip())
