"""Runs what the book shows: programs and shell sessions in ``book/snippets/``.

    python -m book.press.snippets 05     # write the outputs of chapter 5's anew

``NAME.py`` is run and its output kept as ``NAME.out``. ``NAME.console`` holds commands
after ``$ `` and what each printed; only ``hornbook`` commands, in one empty folder. In both,
a line ``…`` stands for any number of lines, and ``…`` within a line for any text.
``NAME.commands`` holds commands alone, too long to run: their names and options are checked.
"""

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click
from click.testing import CliRunner

from book.press.facts import BOOK
from hornbook.cli import commands
from hornbook.core.errors import UserError

SNIPPETS = BOOK / "snippets"
WIDTH = "100"  # columns of the terminal that sessions are recorded in


def output_of(program: Path) -> str:
    """What a program prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(program), run_name="__main__")
    return printed.getvalue()


def replay(session: Path) -> str:
    """The session with its commands run anew. Errors end in the sentence a user would see."""
    shown = []
    runner = CliRunner()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for command in commands_in(session):
            shown.append(f"$ {command}")
            program, *words = shlex.split(command)
            if program != "hornbook":
                raise UserError(f"{session}: only hornbook is run, not {program}.")
            result = runner.invoke(commands, words, env={"COLUMNS": WIDTH})
            if isinstance(result.exception, UserError):
                shown.append(f"hornbook: {result.exception}")
            elif result.exception and not isinstance(result.exception, SystemExit):
                raise result.exception
            shown.append(result.output.rstrip())
    return "\n".join(line for line in shown if line) + "\n"


def commands_in(session: Path) -> list[str]:
    """The commands of a session, without their prompts."""
    lines = session.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def fits(shown: str, printed: str) -> bool:
    """Whether ``printed`` is what the book shows, up to its marks of omission."""
    pattern = (
        re.escape(shown.strip()).replace("…\\\n", "(?:[^\n]*\n)*?").replace("…", ".*?")
    )
    trimmed = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return re.fullmatch(pattern, trimmed, re.DOTALL) is not None


def complaint(command: str) -> str | None:
    """What is wrong with a command line that is not run: its program, or its options."""
    program, *words = [w for w in shlex.split(command) if "=" not in w or w[0] == "-"]
    if program == "python" and words[:1] == ["-m"]:
        return None if find_spec(words[1]) else f"no module {words[1]}"
    if program != "hornbook":
        return None if program in KNOWN else f"unknown program {program}"
    command_, name = commands, "hornbook"
    while isinstance(command_, click.Group) and words and words[0][0] != "-":
        found = command_.commands.get(words[0])
        if found is None:
            return f"{name} has no command {words[0]}"
        command_, name, words = found, f"{name} {words[0]}", words[1:]
    known = {o for p in command_.params for o in (*p.opts, *p.secondary_opts)}
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in known | {"-h", "--help", "-"}:
            return f"{name} has no option {option}"
    return None


KNOWN = {"pip", "python", "make", "git", "cd", "curl", "torchrun", "sbatch", "kubectl"}


def main() -> None:
    """Write the outputs of the chapters named (all where none is)."""
    os.environ["COLUMNS"] = WIDTH
    for folder in sys.argv[1:] or sorted(p.name for p in SNIPPETS.iterdir()):
        for program in sorted((SNIPPETS / folder).glob("*.py")):
            program.with_suffix(".out").write_text(output_of(program), encoding="utf-8")
            print(program.with_suffix(".out"))
        for session in sorted((SNIPPETS / folder).glob("*.console")):
            printed = replay(session)
            if not fits(session.read_text(encoding="utf-8"), printed):
                session.write_text(printed, encoding="utf-8")
                print(session)


if __name__ == "__main__":
    main()
