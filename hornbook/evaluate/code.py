"""The share of functions the model writes that are valid Python. Nothing is ever run.

The model is given the header of a function from a held-out file, ``def name(args):``, and
goes on. What it wrote is cut where the function ends and put to Python's own parser.
"""

import ast
import random
import warnings
from collections.abc import Callable, Iterable

from hornbook.evaluate.intervals import wilson
from hornbook.evaluate.results import Result

Complete = Callable[[list[str]], list[str]]  # prompts -> what the model adds to each


def function_headers(documents: Iterable[str], n: int, seed: int = 0) -> list[str]:
    """At most ``n`` headers of top-level functions of those documents that are Python.

    A header goes from ``def`` to the end of the line before the body. The choice depends
    on the documents and ``seed`` alone.
    """
    headers: dict[str, None] = {}  # in order, without repeats
    for text in documents:
        tree = parse(text)
        lines = text.splitlines(keepends=True)
        for node in tree.body if tree else []:
            if isinstance(node, ast.FunctionDef):
                first_of_body = node.body[0].lineno - 1
                header = "".join(lines[node.lineno - 1 : first_of_body])
                if header.rstrip().endswith(":"):  # not a body on the same line
                    headers[header] = None
    chosen = list(headers)
    random.Random(seed).shuffle(chosen)
    return chosen[:n]


def cut_function(completion: str) -> tuple[str, bool]:
    """The body within ``completion``, and whether the model brought it to its end.

    A body ends before the first line that starts in column 0 and isn't blank. Where none
    does, the last line may be half-written, and is left out if there are others.
    """
    lines = completion.splitlines(keepends=True)
    for k, line in enumerate(lines):
        if line.strip() and not line[0].isspace():
            return "".join(lines[:k]), True
    if len(lines) > 1 and not completion.endswith("\n"):
        lines = lines[:-1]
    return "".join(lines), False


def parse(source: str) -> ast.Module | None:
    """The syntax tree of ``source``; ``None`` when Python's parser refuses it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as invalid escapes in strings
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parsing_functions(complete: Complete, headers: list[str]) -> Result:
    """How many of the functions that ``complete`` writes below ``headers`` parse."""
    completions = complete(headers)
    accepted, finished = 0, 0
    for header, completion in zip(headers, completions, strict=True):
        body, ended = cut_function(completion)
        accepted += parse(header + body) is not None
        finished += ended
    low, high = wilson(accepted, len(headers))
    return Result(
        task="functions that parse",
        metric="share ast.parse accepts",
        value=accepted / len(headers) if headers else 0.0,
        n=len(headers),
        ci95=[low, high],
        higher_is_better=True,
        note=f"{finished} came to their own end; the rest were cut at the last whole line.",
    )
