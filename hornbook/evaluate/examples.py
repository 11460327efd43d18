"""From a benchmark's records to what a model is asked: questions, choices, worked examples."""

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hornbook.core.errors import UserError
from hornbook.evaluate.records import Record, find, read
from hornbook.evaluate.task import TaskConfig

SHOTS_SEED = 1234  # lm-evaluation-harness's
BETWEEN_SHOTS = "\n\n"


@dataclass(frozen=True)
class Example:
    """One item of a benchmark, ready to be asked.

    ``contexts`` and ``continuations`` are the pairs whose likelihood is asked for, or one
    context to go on from. ``choices`` are the choices as they are normalised by.
    """

    number: int
    contexts: tuple[str, ...]
    continuations: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    gold: int = 0
    target: str = ""
    group: str = ""
    record: Record = field(default_factory=dict, repr=False)


def read_examples(
    task: TaskConfig, data: Path, shots: int, limit: int = 0
) -> list[Example]:
    """The first ``limit`` examples of a task (0: all), each after ``shots`` worked ones.

    Raises :class:`UserError` for missing files, a template that names an unknown key, a
    question without choices, or fewer worked examples than asked for.
    """
    renderer = Renderer(task)
    labels = task.files.labels and find(data, task.files.labels, task.name)[0]
    records = [
        record
        for path in find(data, task.files.test, task.name)
        for record in read(path, task.files, labels or None)
        if renderer.counts(record)
    ]
    if not records:
        raise UserError(f"{task.name}: the files hold no record.")
    before = _Shots(task, data, shots, renderer)
    return [
        renderer.example(number, record, before.text(record))
        for number, record in enumerate(records[: limit or None])
    ]


def files_of(task: TaskConfig, data: Path, shots: int) -> list[Path]:
    """The files that questions, labels and worked examples come from."""
    patterns = [task.files.test, task.files.labels]
    patterns += [task.files.shots.replace("{file}", "*")] if shots else []
    found = [find(data, pattern, task.name) for pattern in patterns if pattern]
    return sorted({path for paths in found for path in paths})


class Renderer:
    """A task's templates, compiled."""

    def __init__(self, task: TaskConfig) -> None:
        self.task = task
        self._env = ImmutableSandboxedEnvironment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        self._env.globals.update(
            subject=subject, plain_wiki=plain_wiki, lettered=lettered
        )
        self._made: dict[str, Callable[..., Any]] = {}

    def counts(self, record: Record) -> bool:
        """Whether a record is one of the benchmark's."""
        return not self.task.where or bool(self.value("where", record))

    def text(self, key: str, record: Record) -> str:
        """The template of that key, filled in."""
        return self._render(key, record, self._template)

    def value(self, key: str, record: Record) -> Any:
        """The expression of that key, evaluated."""
        return self._render(key, record, self._expression)

    def question(self, record: Record) -> str:
        """What is asked; for questions that differ by choice, that of the right one."""
        if self.task.contexts:
            return self.value("contexts", record)[self.gold(record)]
        return self.text("question", record)

    def answer(self, record: Record) -> str:
        """What is right, as a worked example shows it."""
        if self.task.kind == "choice":
            return self.value("choices", record)[self.gold(record)]
        return self.text("target", record)

    def gold(self, record: Record) -> int:
        """The index of the right choice."""
        return int(self.value("gold", record))

    def example(self, number: int, record: Record, before: str) -> Example:
        """A record as an :class:`Example` that begins with ``before``."""
        task = self.task
        group = str(self.value("group", record)) if task.group else ""
        shared = {"number": number, "group": group, "record": record}
        if task.kind == "rolling":
            return Example(contexts=("",), target=self.text("text", record), **shared)
        if task.kind == "choice":
            return self._choices(record, before, shared)
        context = before + self.text("question", record)
        target = self.text("target", record) if task.target else ""
        return Example(
            contexts=(context,),
            continuations=(task.delimiter + target,) if task.kind == "cloze" else (),
            target=target,
            **shared,
        )

    def _choices(self, record: Record, before: str, shared: dict[str, Any]) -> Example:
        task = self.task
        choices = tuple(map(str, self.value("choices", record)))
        gold = self.gold(record)
        if not choices or not 0 <= gold < len(choices):
            raise UserError(
                f"{task.name}: record {record['number']} of {record['file']} has "
                f"{len(choices)} choices, and the right one is number {gold}."
            )
        if task.contexts:
            contexts = tuple(self.value("contexts", record))
        else:
            contexts = (self.text("question", record),) * len(choices)
        return Example(
            contexts=tuple(before + context for context in contexts),
            continuations=tuple(task.delimiter + choice for choice in choices),
            choices=choices,
            gold=gold,
            **shared,
        )

    def _render(self, key: str, record: Record, make: Callable[..., Any]) -> Any:
        if key not in self._made:
            self._made[key] = make(key)
        try:
            return self._made[key](record)
        except (jinja2.TemplateError, LookupError, ValueError, TypeError) as error:
            raise UserError(
                f"{self.task.name}: '{key}' does not fit record {record['number']} of "
                f"{record['file']}: {error}."
            ) from None

    def _template(self, key: str) -> Callable[..., str]:
        return self._env.from_string(getattr(self.task, key)).render

    def _expression(self, key: str) -> Callable[..., Any]:
        made = self._env.compile_expression(
            getattr(self.task, key), undefined_to_none=False
        )

        def value(record: Record) -> Any:
            found = made(record)
            if isinstance(found, jinja2.Undefined):
                str(found)  # raises what is undefined
            return found

        return value


class _Shots:
    """The description and the worked examples that stand before a question."""

    def __init__(
        self, task: TaskConfig, data: Path, count: int, renderer: Renderer
    ) -> None:
        self.task, self.data, self.count, self.renderer = task, data, count, renderer
        self._random = random.Random(SHOTS_SEED)
        self._files: dict[str, list[Record]] = {}
        files = task.files
        self._same = bool(count and "{file}" not in files.shots) and find(
            data, files.shots, task.name
        ) == find(data, files.test, task.name)

    def text(self, record: Record) -> str:
        """What stands before ``record``'s question. Called in the records' order."""
        head = ""
        if self.task.description:
            head = self.renderer.text("description", record)
        shots = [self._shown(shot) for shot in self._choose(record)]
        return head + "".join(shot + BETWEEN_SHOTS for shot in shots)

    def _shown(self, shot: Record) -> str:
        answer = self.renderer.answer(shot)
        return self.renderer.question(shot) + self.task.delimiter + answer

    def _choose(self, record: Record) -> list[Record]:
        if not self.count:
            return []
        known = self._examples(record["file"])
        if self.task.shots_order == "first":
            return known[: self.count]
        # One more where the question itself may be among them, and is then left out.
        same = self._same
        drawn = self._random.sample(known, self.count + same)
        if same:
            drawn = [shot for shot in drawn if shot["record"] != record["record"]]
        return drawn[: self.count]

    def _examples(self, file: str) -> list[Record]:
        pattern = self.task.files.shots.replace("{file}", file)
        if pattern not in self._files:
            paths: Iterable[Path] = find(self.data, pattern, self.task.name)
            found = [r for path in paths for r in read(path, self.task.files)]
            if self.task.shots_where:
                found = [r for r in found if self.renderer.value("shots_where", r)]
            if len(found) < self.count:
                raise UserError(
                    f"{self.task.name}: {pattern} holds {len(found)} worked examples, fewer "
                    f"than the {self.count} asked for."
                )
            self._files[pattern] = found
        return self._files[pattern]


def subject(file: str) -> str:
    """``high_school_physics`` in words."""
    return file.replace("_", " ")


def plain_wiki(text: str) -> str:
    """WikiHow's marks taken out of HellaSwag's texts."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def lettered(text: str) -> list[str]:
    """``(A) one (B) two`` as a list."""
    return [part.strip() for part in re.split(r"\([A-Z]\)", text)[1:]]
