"""Running a benchmark on a model: ask, judge, note every item, and go on after a kill."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from hornbook.core.progress import Progress
from hornbook.evaluate.examples import Example, Renderer
from hornbook.evaluate.generation import Sampling, follow, generate, write_programs
from hornbook.evaluate.likelihood import choose, fill, roll
from hornbook.evaluate.notes import Record, digest, resume
from hornbook.evaluate.task import TaskConfig
from hornbook.infer.engine import Engine

AT_ONCE = 128  # items between two notes in the record
GREEDY = Sampling()
Judge = Callable[[list[Example]], list[Record]]


def run_task(
    engine: Engine,
    task: TaskConfig,
    examples: list[Example],
    notes: Path,
    sampling: Sampling = GREEDY,
    identity: str = "",
) -> list[Record]:
    """Ask all examples that ``notes`` does not hold yet; the records of all, in order.

    ``notes`` is a JSON-lines file; its first line says what it is of (``identity`` and the
    task), and one of something else is begun anew.
    """
    judge = judge_of(engine, task, sampling)
    wanted = {"task": task.name, "identity": identity, "prompts": digest(examples)}
    known = resume(notes, wanted)
    missing = [example for example in examples if example.number not in known]
    encoder = msgspec.json.Encoder()
    with (
        open(notes, "ab") as file,
        Progress(task.name, len(examples), "item") as progress,
    ):
        progress.advance(len(examples) - len(missing))
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            for record in judge(some):
                known[record.number] = record
                file.write(encoder.encode(record) + b"\n")
            file.flush()
            progress.advance(len(some))
    return [known[example.number] for example in examples]


def judge_of(engine: Engine, task: TaskConfig, sampling: Sampling) -> Judge:
    """The function that judges a task's examples."""
    if task.kind == "choice":
        return lambda examples: choose(engine, examples)
    if task.kind == "cloze":
        return lambda examples: fill(engine, examples)
    if task.kind == "rolling":
        renderer = Renderer(task)
        return lambda examples: roll(engine, task, renderer, examples)
    if task.kind == "generate":
        return lambda examples: generate(engine, task, examples)
    renderer = Renderer(task)
    if task.kind == "instructions":
        return lambda examples: follow(engine, task, renderer, examples)
    return lambda examples: write_programs(engine, task, renderer, examples, sampling)
