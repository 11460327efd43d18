"""From a chapter's file of exercises to their texts and an empty worksheet; nothing runs."""

import ast
from pathlib import Path

from hornbook.core.errors import UserError

CHAPTERS = {
    int(path.stem.removeprefix("chapter")): path
    for path in sorted(Path(__file__).parent.glob("chapter[0-9][0-9].py"))
}


def chapter_file(number: int) -> Path:
    """The exercises of chapter ``number``. Raises :class:`UserError` where it has none."""
    if number not in CHAPTERS:
        have = ", ".join(map(str, CHAPTERS))
        raise UserError(
            f"Chapter {number} has no exercises; there are some for {have}."
        )
    return CHAPTERS[number]


def exercises_in(path: Path) -> list[dict[str, str]]:
    """Name, signature and text of every exercise, in order."""
    return [
        {
            "name": node.name,
            "signature": _signature(node),
            "text": " ".join((ast.get_docstring(node) or "").split()),
        }
        for node in _tasks(ast.parse(path.read_text(encoding="utf-8")))
    ]


def worksheet(number: int) -> str:
    """The file a reader fills in: what the exercises import, and each one's empty function."""
    text = chapter_file(number).read_text(encoding="utf-8")
    tree = ast.parse(text)
    parts = [
        f'"""Worksheet of chapter {number}. Fill in the functions, then: '
        f'hornbook check {number}"""'
    ]
    parts.append("\n".join(map(ast.unparse, _imports(tree))))
    for node in _tasks(tree):
        lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
        parts.append("\n" + "\n".join(lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def _tasks(tree: ast.Module) -> list[ast.FunctionDef]:
    return [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith(("_", "check_"))
    ]


def _imports(tree: ast.Module) -> list[ast.stmt]:
    """Imports a reader needs too: all but what belongs to the checks."""
    return [
        node
        for node in tree.body
        if isinstance(node, ast.Import)
        or (
            isinstance(node, ast.ImportFrom)
            and not (node.module or "").startswith("hornbook")
        )
    ]


def _signature(node: ast.FunctionDef) -> str:
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){result}"
