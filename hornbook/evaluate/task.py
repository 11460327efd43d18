"""What a benchmark is: a TOML file that says how a record becomes a question and a verdict.

Templates and expressions are Jinja's, over the record's own keys; besides them there are
``file`` (the data file's name without its endings) and ``number`` (which record it is).
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from hornbook.core.errors import UserError
from hornbook.core.settings import Count, NonNegative, Settings, parse


class Files(Settings, frozen=True):
    """Where the records are, below the data folder; patterns may name several files.

    ``shots`` holds worked examples, and ``labels`` one line more about each test record, as
    its key ``label``. Where ``{file}`` stands in ``shots``, the test file's own name goes.
    """

    test: str
    shots: str = ""
    labels: str = ""
    columns: tuple[str, ...] = ()  # of a .csv or .tsv without a line of names
    lines: NonNegative = (
        0  # a text file: so many lines are one record, the list ``lines``
    )
    split: str = (
        ""  # a text file: a record begins where this pattern is, the key ``page``
    )


class Answer(Settings, frozen=True):
    """How the answer is found in what was generated: a regular expression, first or last."""

    pattern: str
    take: Literal["first", "last"] = "first"


class TaskConfig(Settings, frozen=True):
    """One benchmark.

    choice     which of ``choices`` is likeliest after ``question``; ``gold`` is its index
    cloze      is ``target`` likely after ``question``, and what greedy decoding gives?
    generate   go on from ``question`` and compare the ``answers`` found with ``target``'s
    code       go on from ``question`` and run ``tests`` on it in the sandbox
    instructions  answer ``question``; are its ``instructions`` followed? (instructions.py)
    chat       answer ``question``; a reward model judges the answer
    rolling    how likely is ``text``, window by window
    """

    kind: Literal[
        "choice", "cloze", "generate", "code", "instructions", "chat", "rolling"
    ]
    files: Files
    name: str = ""
    about: str = ""  # one line: what is asked, and whose it is
    description: str = ""  # before everything, template
    question: str = ""  # template
    choices: str = ""  # expression: a list of texts
    contexts: str = ""  # expression: a question for each choice, where they differ
    gold: str = ""  # expression: the index of the right choice
    target: str = ""  # template: the right answer
    text: str = ""  # template: what is rolled over
    measured: str = ""  # template: what bytes and words are counted of, if not ``text``
    detokenize: bool = False  # undo WikiText's spaces around punctuation
    group: str = ""  # expression: what belongs together, as a subject's questions do
    where: str = ""  # expression: records that count; all where empty
    delimiter: str = " "  # between a question and its answer
    shots: NonNegative = 0  # worked examples, as in published numbers
    lm_eval_shots: NonNegative = 0  # as lm-evaluation-harness has it unless told
    shots_where: str = ""  # expression: records that serve as examples
    shots_order: Literal["first", "sampled"] = "sampled"
    stop: tuple[str, ...] = ()  # where a generated answer ends
    max_tokens: Count = 256
    answers: dict[str, Answer] = {}  # noqa: RUF012  (msgspec copies it)
    ignore: tuple[str, ...] = ()  # patterns taken out of both sides before comparing
    instructions: str = ""  # expression: a list of their names
    arguments: str = ""  # expression: a table of arguments for each
    prefix: str = ""  # template: what a generated program is preceded by
    tests: str = ""  # template: the tests of a program
    functions: str = ""  # expression: the functions that the tests call
    helpers: str = ""  # template: trusted code that the tests need
    together: bool = False  # run program and tests in one process
    seconds: Count = 3  # for a program and its tests
    main_metric: str = "acc"
    extra_metrics: tuple[str, ...] = ()


def load_task(name_or_path: str) -> TaskConfig:
    """A benchmark by name (``mmlu``) or path (``my.toml``); :class:`UserError` otherwise."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        shipped = shipped_tasks()
        if name_or_path not in shipped:
            raise UserError(
                f"There is no task '{name_or_path}'; there are {', '.join(shipped)}, and "
                "your own are named by their path, ending in .toml."
            )
        path = shipped[name_or_path]
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"There is no task file {path}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from None
    table.setdefault("name", path.stem)
    task = parse(TaskConfig, table, str(path))
    _check(task, str(path))
    return task


def shipped_tasks() -> dict[str, Path]:
    """Name -> file of the tasks that come with Hornbook."""
    folder = Path(str(resources.files("hornbook") / "evaluate" / "tasks"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


NEEDED = {
    "choice": ("choices", "gold"),
    "cloze": ("question", "target"),
    "generate": ("question", "target"),
    "code": ("question", "tests"),
    "chat": ("question",),
    "instructions": ("question", "instructions", "arguments"),
    "rolling": ("text",),
}


def _check(task: TaskConfig, where: str) -> None:
    for key in NEEDED[task.kind]:
        if not getattr(task, key):
            raise UserError(f"{where}: a task of kind '{task.kind}' needs '{key}'.")
    if (task.shots or task.lm_eval_shots) and not task.files.shots:
        raise UserError(f"{where}: 'shots' needs 'files.shots', where they come from.")
