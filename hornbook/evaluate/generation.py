"""Judging by what is written: answers compared, programs run."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from hornbook.evaluate.examples import Example, Renderer
from hornbook.evaluate.instructions import followed
from hornbook.evaluate.notes import Record, hashed
from hornbook.evaluate.task import TaskConfig
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.sandbox.run import Limits, Program, run_all
from hornbook.tokenizer.chat import render_chat

INVALID = "[invalid]"


@dataclass(frozen=True)
class Sampling:
    """How programs are sampled: ``samples`` each; one sample is greedy."""

    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def write(
    engine: Engine,
    task: TaskConfig,
    examples: list[Example],
    sampling: SamplingConfig,
    chat: bool = False,
) -> list[str]:
    """What the model writes after each context, up to one of the task's stops.

    With ``chat`` a context is a user's turn. Of a prompt that leaves no room for
    ``max_tokens`` the beginning is left out, but never more than half the context.
    """
    most = prompt_room(engine, task)
    prompts = [prompt_ids(engine, example, chat)[-most:] for example in examples]
    return [completion.text for completion in engine.generate(prompts, sampling)]


def prompt_ids(engine: Engine, example: Example, chat: bool) -> list[int]:
    """An example's context as ids, plain or as a user's turn."""
    text = example.contexts[0]
    if not chat:
        return engine.tokenizer.encode(text)
    turn = {"role": "user", "content": text}
    return render_chat(
        engine.tokenizer, [turn], add_generation_prompt=True
    ).ids.tolist()


def prompt_room(engine: Engine, task: TaskConfig) -> int:
    """Tokens that a prompt may have."""
    longest = engine.model.config.context_length
    return max(longest - task.max_tokens, longest // 2, 1)


def sampling_of(task: TaskConfig, sampling: Sampling, seed: int = 0) -> SamplingConfig:
    """The engine's settings for a task."""
    return SamplingConfig(
        max_tokens=task.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=sampling.seed + seed,
        stop=task.stop,
    )


def generate(
    engine: Engine, task: TaskConfig, examples: list[Example], chat: bool = False
) -> list[Record]:
    """Go on from each question greedily and compare the answers found."""
    records = []
    written = write(engine, task, examples, sampling_of(task, Sampling()), chat)
    comparable = _comparer(task.ignore)
    for example, text in zip(examples, written, strict=True):
        right = comparable(example.target)
        scores = {
            name: float(comparable(extract(answer.pattern, answer.take, text)) == right)
            for name, answer in task.answers.items()
        }
        scores = scores or {"acc": float(comparable(text.strip()) == right)}
        prompt = hashed(example.contexts[0])
        records.append(
            Record(example.number, prompt, scores, example.group, output=[text])
        )
    return records


def follow(
    engine: Engine,
    task: TaskConfig,
    renderer: Renderer,
    examples: list[Example],
    chat: bool = False,
) -> list[Record]:
    """Answer each question and check what its instructions ask."""
    records = []
    written = write(engine, task, examples, sampling_of(task, Sampling()), chat)
    for example, text in zip(examples, written, strict=True):
        kinds = renderer.value("instructions", example.record)
        arguments = renderer.value("arguments", example.record)
        scores = {"instructions": float(len(kinds))}
        for name, loose in (("strict", False), ("loose", True)):
            kept = [
                followed(text, kind, given, loose)
                for kind, given in zip(kinds, arguments, strict=True)
            ]
            scores[f"prompt_level_{name}_acc"] = float(all(kept))
            scores[f"{name}_followed"] = float(sum(kept))
        prompt = hashed(example.contexts[0])
        records.append(
            Record(example.number, prompt, scores, example.group, output=[text])
        )
    return records


def extract(pattern: str, take: str, text: str) -> str:
    """The answer in a text: the first or last match, of its groups the first not empty."""
    found = re.findall(pattern, text)
    if not found:
        return INVALID
    match = found[0 if take == "first" else -1]
    if isinstance(match, tuple):
        match = next((part for part in match if part), INVALID)
    return match.strip()


def _comparer(ignore: tuple[str, ...]) -> Callable[[str], str]:
    def comparable(text: str) -> str:
        for pattern in ignore:
            text = re.sub(pattern, "", text)
        return text.lower()

    return comparable


def write_programs(
    engine: Engine,
    task: TaskConfig,
    renderer: Renderer,
    examples: list[Example],
    sampling: Sampling,
    chat: bool = False,
) -> list[Record]:
    """Go on from each question and run what comes against the tests."""
    written: list[list[str]] = [[] for _ in examples]
    for sample in range(sampling.samples):
        texts = write(
            *(engine, task, examples, sampling_of(task, sampling, sample), chat)
        )
        for place, text in enumerate(texts):
            written[place].append(text)
    programs = [
        as_program(task, renderer, example, text)
        for example, texts in zip(examples, written, strict=True)
        for text in texts
    ]
    outcomes = iter(run_all(programs, Limits(seconds=float(task.seconds))))
    records = []
    for example, texts in zip(examples, written, strict=True):
        judged = [next(outcomes) for _ in texts]
        passed = sum(outcome.passed for outcome in judged)
        scores = {
            f"pass@{k}": pass_at_k(len(texts), passed, k)
            for k in (1, 10, 100)
            if k <= len(texts)
        }
        first = next((o for o in judged if not o.passed), judged[0])
        note = first.error or first.status
        prompt = hashed(example.contexts[0])
        records.append(
            Record(example.number, prompt, scores, example.group, [], texts, note)
        )
    return records


def as_program(
    task: TaskConfig, renderer: Renderer, example: Example, written: str
) -> Program:
    """What was written as a program with the task's tests."""
    record = example.record
    program = (renderer.text("prefix", record) if task.prefix else "") + written
    tests = renderer.text("tests", record)
    if task.together:
        return Program(f"{program}\n{tests}")
    return Program(
        program,
        tests,
        tuple(renderer.value("functions", record)) if task.functions else (),
        renderer.text("helpers", record) if task.helpers else "",
    )


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """The chance that one of ``k`` samples passes, unbiased (Chen et al. 2021)."""
    if samples - passed < k:
        return 1.0
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)
