"""Listings cut from the source by symbol, with their true lines.

Every class, function and method of ``hornbook/`` is an entry, named as one would import
it: ``model.attention.Attention.forward``. So are module constants (``model.blocked.BLOCK``)
and whole modules. The book asks for a name and gets today's text; a name that is gone
stops the build.
"""

import ast
import hashlib
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from hornbook.core.errors import UserError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hornbook"


class Listing(TypedDict):
    """One symbol's text and where it stands; lines count from 1, both ends included."""

    file: str
    start: int
    end: int
    code: str
    sha256: str


def listings(package: Path = PACKAGE) -> dict[str, Listing]:
    """Every symbol of the package. Raises :class:`UserError` on one defined twice."""
    table: dict[str, Listing] = {}
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        for name, listing in symbols(path, module.removesuffix(".__init__"), package):
            if name in table and table[name] != listing:
                raise UserError(
                    f"{name} is defined at {table[name]['file']}:{table[name]['start']} "
                    f"and again at line {listing['start']}: a listing needs one of them."
                )
            table[name] = listing
    return table


def symbols(path: Path, module: str, package: Path) -> Iterator[tuple[str, Listing]]:
    """The symbols of one file."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    file = path.relative_to(package.parent).as_posix()
    if lines:
        yield module, _cut(lines, file, 1, len(lines))
    for name, node in _named(ast.parse(text, filename=str(path)), module):
        decorators = getattr(node, "decorator_list", [])
        start = min([node.lineno, *(d.lineno for d in decorators)])
        yield name, _cut(lines, file, start, node.end_lineno or start)


def _cut(lines: list[str], file: str, start: int, end: int) -> Listing:
    code = textwrap.dedent("\n".join(line.rstrip() for line in lines[start - 1 : end]))
    digest = hashlib.sha256(code.encode()).hexdigest()
    return {"file": file, "start": start, "end": end, "code": code, "sha256": digest}


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.stmt]]:
    """Functions and classes at any depth; assignments of modules and classes.

    What is defined twice under one name (overloads, branches) is left out: ambiguous.
    """
    found: dict[str, list[ast.stmt]] = {}
    for name, statement in _definitions(node, prefix):
        found.setdefault(name, []).append(statement)
    for name, statements in found.items():
        if len(statements) == 1:
            yield name, statements[0]


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.stmt]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{child.name}"
            yield name, child
            yield from _definitions(child, name)
        elif isinstance(child, ast.Assign) and isinstance(
            node, ast.Module | ast.ClassDef
        ):
            for target in child.targets:
                if isinstance(target, ast.Name):
                    yield f"{prefix}.{target.id}", child
        elif isinstance(child, ast.AnnAssign) and isinstance(
            node, ast.Module | ast.ClassDef
        ):
            if isinstance(child.target, ast.Name):
                yield f"{prefix}.{child.target.id}", child
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _definitions(child, prefix)
