"""Running a benchmark on a model: ask, judge, note every item, and go on after a kill."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from hornbook.core.progress import Progress
from hornbook.evaluate.examples import Example, Renderer
from hornbook.evaluate.generation import (
    Sampling,
    follow,
    generate,
    prompt_ids,
    prompt_room,
    write_programs,
)
from hornbook.evaluate.likelihood import choose, encode_pair, fill, roll
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
    chat: bool = False,
    judge: Judge | None = None,
    judged_by: str = "",
) -> list[Record]:
    """Ask all examples that ``notes`` does not hold yet; the records of all, in order.

    ``notes`` is a JSON-lines file; its first line says what it is of (``identity`` and the
    task), and one of something else is begun anew. ``chat`` puts questions as a user's
    turns; ``judge`` stands in for the task's own judge, and ``judged_by`` says who it is.
    """
    judge = judge or judge_of(engine, task, sampling, chat)
    asked = digest(examples) + (" as chat" if chat else "") + judged_by
    if task.kind == "code" and sampling != GREEDY:
        asked += f" {sampling}"
    wanted = {"task": task.name, "identity": identity, "prompts": asked}
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


def judge_of(
    engine: Engine, task: TaskConfig, sampling: Sampling, chat: bool = False
) -> Judge:
    """The function that judges a task's examples."""
    if task.kind == "choice":
        return lambda examples: choose(engine, examples)
    if task.kind == "cloze":
        return lambda examples: fill(engine, examples)
    if task.kind == "rolling":
        renderer = Renderer(task)
        return lambda examples: roll(engine, task, renderer, examples)
    if task.kind == "generate":
        return lambda examples: generate(engine, task, examples, chat)
    renderer = Renderer(task)
    if task.kind == "instructions":
        return lambda examples: follow(engine, task, renderer, examples, chat)
    return lambda examples: write_programs(
        engine, task, renderer, examples, sampling, chat
    )


def cut_note(
    engine: Engine, task: TaskConfig, examples: list[Example], chat: bool = False
) -> str:
    """How many questions do not fit the context and so lose their beginning; "" for none."""
    if task.kind == "rolling":
        return ""
    longest = engine.model.config.context_length
    if task.kind in ("choice", "cloze"):
        pairs = (
            [
                encode_pair(engine.tokenizer, *pair)
                for pair in zip(e.contexts, e.continuations, strict=True)
            ]
            for e in examples
        )
        cut = sum(any(len(a) + len(b) - 1 > longest for a, b in some) for some in pairs)
    else:
        chat, most = chat or task.kind == "chat", prompt_room(engine, task)
        cut = sum(len(prompt_ids(engine, e, chat)) > most for e in examples)
    if not cut:
        return ""
    return f"{cut} of {len(examples)} prompts lost their beginning: context of {longest} tokens"
