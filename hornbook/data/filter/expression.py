"""A rule of one's own: one Python expression over the numbers of a document.

Only numbers, column names, arithmetic, comparisons, ``and``, ``or`` and ``not`` are
understood, and ``language == "en"``, so a recipe from a stranger can compute nothing else.
Read as Python by ``ast``, evaluated here over whole columns at once.
"""

import ast
import difflib
import operator
from functools import reduce
from typing import NoReturn

import numpy as np

from hornbook.core.errors import UserError

ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.true_divide,
}
COMPARISONS = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(expression: str, columns: dict[str, np.ndarray]) -> np.ndarray:
    """The truth of ``expression`` for every row of ``columns``, bool.

    Raises :class:`UserError` for what is no expression, an unknown name, or anything
    beyond numbers and logic.
    """
    tree = _parse(expression)
    rows = len(next(iter(columns.values())))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = _value(tree.body, columns, expression)
    return np.broadcast_to(np.asarray(value, bool), (rows,))


def names_in(expression: str, known: list[str]) -> set[str]:
    """The names that ``expression`` uses, each one of ``known``; none when it is empty."""
    if not expression:
        return set()
    names = {n.id for n in ast.walk(_parse(expression)) if isinstance(n, ast.Name)}
    for name in sorted(names - set(known)):
        _unknown(name, known, expression)
    return names


def _parse(expression: str) -> ast.Expression:
    try:
        return ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise UserError(
            f"data.filters.keep: '{expression}' is not an expression ({error})."
        ) from None


def _value(node: ast.expr, columns: dict[str, np.ndarray], expression: str):
    def of(part: ast.expr):
        return _value(part, columns, expression)

    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return float(value)
        case ast.Name(id=name) if name not in columns:
            _unknown(name, list(columns), expression)
        case ast.Name(id=name) if columns[name].dtype != object:
            return columns[name]
        case ast.Compare(
            left=ast.Name(id=name),
            ops=[ast.Eq() | ast.NotEq() as op],
            comparators=[ast.Constant(value=str() as word)],
        ) if name in columns and columns[name].dtype == object:
            return COMPARISONS[type(op)](columns[name], word)
        case ast.BoolOp(op=ast.And(), values=parts):
            return reduce(np.logical_and, map(of, parts))
        case ast.BoolOp(values=parts):
            return reduce(np.logical_or, map(of, parts))
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return np.logical_not(of(part))
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return -of(part)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return ARITHMETIC[type(op)](of(left), of(right))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in COMPARISONS for op in ops
        ):
            sides = [of(side) for side in (left, *others)]
            steps = zip(ops, sides, sides[1:], strict=False)
            return reduce(
                np.logical_and, (COMPARISONS[type(op)](a, b) for op, a, b in steps)
            )
    raise UserError(
        f"data.filters.keep: '{ast.unparse(node)}' is not allowed; an expression holds "
        "numbers, column names, + - * /, comparisons, and, or, not, language == 'en'."
    )


def _unknown(name: str, known: list[str], expression: str) -> NoReturn:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" (did you mean '{nearest[0]}'?)" if nearest else ""
    raise UserError(
        f"data.filters.keep: there is no number '{name}' in '{expression}'{hint}; there "
        f"are {', '.join(known)}."
    )
