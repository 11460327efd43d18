"""Rewards that a program can check: numbers, tests, formats, syntax.

Each takes an answer and gives a number between 0 and 1. Reading order: :func:`same_number`,
:func:`passes_tests`, :func:`is_json`, :func:`parses`, :func:`defines`.
"""

import ast
import re
from decimal import Decimal, InvalidOperation

import msgspec

from hornbook.evaluate.code import parse
from hornbook.sandbox.run import Limits, Program, run

NUMBER = re.compile(r"-?\$?(?:\d[\d,]*)?\.?\d+(?:/\d+)?")
MARKED = re.compile(r"####\s*(.+?)\s*$|\\boxed\{([^{}]*)\}", re.MULTILINE)
FENCED = re.compile(r"```(?:\w*)\n(.*?)(?:```|\Z)", re.DOTALL)


def same_number(answer: str, expected: str) -> float:
    """1 if the final number of ``answer`` is that of ``expected``: 1,000 is 1000.0.

    The final number follows ``####`` or stands in ``\\boxed{}``; without either it is the
    last one there is. A fraction counts as its value.
    """
    ours, theirs = final_number(answer), final_number(expected)
    return float(ours is not None and ours == theirs)


def final_number(text: str) -> Decimal | None:
    """The number a worked answer ends in; None when it holds none."""
    marked = [a or b for a, b in MARKED.findall(text)]
    numbers = NUMBER.findall(marked[-1] if marked else text)
    if not numbers:
        return None
    plain = numbers[-1].replace(",", "").replace("$", "")
    try:
        above, _, below = plain.partition("/")
        return Decimal(above) / Decimal(below or 1)
    except (InvalidOperation, ZeroDivisionError):
        return None


def passes_tests(
    answer: str, tests: str, functions: tuple[str, ...], seconds: float
) -> float:
    """1 if the code of ``answer`` passes ``tests``, run in the sandbox.

    The tests run in a process of their own in which ``functions`` stand for the answer's:
    code can't pass by ending early, lying about equality or looking into the test.
    """
    program = Program(code_of(answer), tests, functions)
    return float(run(program, Limits(seconds=seconds)).passed)


def code_of(answer: str) -> str:
    """What stands between ``` marks, where there are any; else the whole answer."""
    blocks = FENCED.findall(answer)
    return "\n".join(blocks) if blocks else answer


def called_functions(tests: str) -> tuple[str, ...]:
    """The names that ``tests`` call and don't define: what an answer has to provide."""
    tree = parse(tests)
    nodes = list(ast.walk(tree)) if tree else []
    called = {
        n.func.id
        for n in nodes
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    own = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    builtin = vars(__import__("builtins")).keys()
    return tuple(sorted(called - own - builtin))


def is_json(answer: str, keys: tuple[str, ...] = ()) -> float:
    """1 if the answer is JSON and, with ``keys``, an object that has them all."""
    try:
        value = msgspec.json.decode(code_of(answer))
    except msgspec.DecodeError:
        return 0.0
    return float(not keys or (isinstance(value, dict) and set(keys) <= value.keys()))


def parses(answer: str) -> float:
    """1 if the answer's code is Python, and not nothing."""
    tree = parse(code_of(answer))
    return float(tree is not None and bool(tree.body))


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
