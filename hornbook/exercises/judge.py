"""Runs a reader's worksheet against the checks of its chapter."""

import importlib
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from hornbook.core.errors import UserError
from hornbook.exercises.worksheet import chapter_file, exercises_in


class Wrong(Exception):
    """An answer that is not right yet; the message is a hint, one sentence."""


@dataclass(frozen=True)
class Verdict:
    """What became of one exercise."""

    name: str
    state: Literal["right", "wrong", "empty"]
    hint: str = ""


def expect(holds: bool, hint: str) -> None:
    """Raise :class:`Wrong` with ``hint`` unless ``holds``."""
    if not holds:
        raise Wrong(hint)


def expect_close(got: Any, want: Any, what: str, within: float = 1e-4) -> None:
    """Raise :class:`Wrong` unless two tensors or numbers have one shape and agree."""
    import torch

    got = torch.as_tensor(got, dtype=torch.float64)
    want = torch.as_tensor(want, dtype=torch.float64)
    expect(
        got.shape == want.shape,
        f"{what}: the shape is {tuple(got.shape)}, it should be {tuple(want.shape)}.",
    )
    worst = float((got - want).abs().max()) if got.numel() else 0.0
    expect(worst <= within, f"{what}: off by as much as {worst:.3g}.")


def judge(number: int, path: Path) -> list[Verdict]:
    """A verdict on every exercise of chapter ``number`` from the worksheet ``path``.

    Raises :class:`UserError` when the worksheet itself can't be run.
    """
    source = chapter_file(number)
    checks = importlib.import_module(f"hornbook.exercises.{source.stem}")
    answers = _load(path)
    return [
        _verdict(name, getattr(answers, name, None), getattr(checks, f"check_{name}"))
        for name in (exercise["name"] for exercise in exercises_in(source))
    ]


def _load(path: Path) -> ModuleType:
    """The worksheet as a module: a reader's own program, run as such."""
    module = ModuleType("worksheet")
    module.__file__ = str(path)
    try:
        code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        exec(code, module.__dict__)
    except Exception as error:
        raise UserError(f"{path} does not run: {_where(error, path)}") from error
    return module


def _verdict(name: str, answer: Any, check: Any) -> Verdict:
    if answer is None:
        return Verdict(name, "empty", "the worksheet has no function of this name")
    try:
        check(answer)
    except NotImplementedError:
        return Verdict(name, "empty")
    except Wrong as hint:
        return Verdict(name, "wrong", str(hint))
    except Exception as error:
        return Verdict(name, "wrong", _where(error, Path(answer.__code__.co_filename)))
    return Verdict(name, "right")


def _where(error: Exception, path: Path) -> str:
    """The error and the worksheet's line it came from."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    place = f"line {lines[-1]}: " if lines else ""
    return f"{place}{type(error).__name__}: {error}"
