"""What Python sources say about themselves: every public, documented function and class.

Sources are read with ``ast``: nothing is imported and nothing runs.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from hornbook.align.docstrings import first_paragraph, predicate, sentences

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

PLAIN_DECORATORS = frozenset({"classmethod", "staticmethod"})
TESTS = re.compile(r"tests?$|test_|.*_tests?$")
MAX_SOURCE_LINES = 14


@dataclass(frozen=True)
class Subject:
    """One function, method or class that a question can be about."""

    kind: str  # "function", "method" or "class"
    name: str  # "quote", "JSONEncoder.default"
    module: str  # "shlex"; empty when the file's path is no module name
    arguments: tuple[str, ...] | None  # with their stars; None: a class inherits them
    signature: str  # "quote(s)", "default(self, o)"; empty for a class
    predicate: str  # "returns a shell-escaped version of the string"
    paragraph: str  # the docstring's first paragraph
    source: str  # of a short function, without its docstring; else empty

    @property
    def full_name(self) -> str:
        """The name as one would import it: ``json.JSONEncoder.default``."""
        return f"{self.module}.{self.name}" if self.module else self.name


def read_subjects(path: str, text: str) -> Iterator[Subject]:
    """The subjects of one Python file. Raises SyntaxError or ValueError if it is not Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        tree = ast.parse(text)
    module = module_name(path)
    if module is not None:
        yield from _walk(tree, module, "", text.splitlines())


def module_name(path: str) -> str | None:
    """The importable name of a file: ``json/__init__.py`` -> ``json``.

    Empty when the path is no identifier; None for private modules and tests, which
    nobody asks about. A pure-Python twin such as ``_pydecimal`` goes by its public name.
    """
    parts = list(PurePosixPath(path).with_suffix("").parts)
    parts = [p.removeprefix("_py") if len(p) > 3 else p for p in parts]
    while parts and parts[0] in ("/", "..", ".", "src", "lib"):
        parts.pop(0)
    if parts and parts[-1] in ("__init__", "__main__"):
        parts.pop()
    if any(part.startswith("_") or TESTS.match(part) for part in parts):
        return None
    return ".".join(parts) if all(part.isidentifier() for part in parts) else ""


def _walk(
    parent: ast.AST, module: str, prefix: str, lines: list[str]
) -> Iterator[Subject]:
    for node in ast.iter_child_nodes(parent):
        if not isinstance(node, Definition) or node.name.startswith(("_", "test")):
            continue
        subject = _subject(node, module, prefix, lines)
        if subject:
            yield subject
        if isinstance(node, ast.ClassDef):
            yield from _walk(node, module, f"{prefix}{node.name}.", lines)


def _subject(
    node: Definition, module: str, prefix: str, lines: list[str]
) -> Subject | None:
    paragraph = first_paragraph(ast.get_docstring(node) or "")
    parts = sentences(paragraph)
    said = predicate(parts[0]) if parts else ""
    if len(said.split()) < 4:
        return None
    is_class = isinstance(node, ast.ClassDef)
    kind = "class" if is_class else "method" if prefix else "function"
    return Subject(
        kind=kind,
        name=prefix + node.name,
        module=module,
        arguments=_arguments(node),
        signature="" if is_class else f"{node.name}({', '.join(_parameters(node))})",
        predicate=said,
        paragraph=paragraph,
        source="" if is_class else source_without_docstring(node, lines),
    )


def _arguments(node: Definition) -> tuple[str, ...] | None:
    """What a caller passes: the parameters without ``self``; a class has its __init__'s."""
    if isinstance(node, ast.ClassDef):
        methods = (n for n in node.body if isinstance(n, ast.FunctionDef))
        init = next((n for n in methods if n.name == "__init__"), None)
        return _arguments(init) if init else None
    names = _parameters(node)
    return names[1:] if names[:1] in (("self",), ("cls",)) else names


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    """The names in a signature, with their stars."""
    spec = node.args
    names = [a.arg for a in spec.posonlyargs + spec.args]
    names += [f"*{spec.vararg.arg}"] if spec.vararg else []
    names += [a.arg for a in spec.kwonlyargs]
    return (*names, f"**{spec.kwarg.arg}") if spec.kwarg else tuple(names)


def source_without_docstring(
    node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]
) -> str:
    """The code of a short function, dedented; empty if it is long, decorated or a stub."""
    decorators = [ast.unparse(d) for d in node.decorator_list]
    documentation, *body = node.body
    if not body or not PLAIN_DECORATORS.issuperset(decorators) or _is_stub(body):
        return ""
    head = lines[node.lineno - 1 : documentation.lineno - 1]
    rest = lines[documentation.end_lineno or 0 : node.end_lineno]
    while rest and not rest[0].strip():
        rest.pop(0)
    source = textwrap.dedent("\n".join(head + rest)).rstrip()
    if len(head) + len(rest) > MAX_SOURCE_LINES or not _parses(source):
        return ""
    return source


def _is_stub(body: list[ast.stmt]) -> bool:
    return len(body) == 1 and isinstance(body[0], ast.Pass | ast.Raise)


def _parses(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError:
        return False
    return True
