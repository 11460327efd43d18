"""Judging by likelihood: multiple choice, cloze, and rolling over a text.

Tokens, truncation and metrics follow lm-evaluation-harness, so that the numbers compare.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from hornbook.core.errors import UserError
from hornbook.evaluate.examples import Example, Renderer
from hornbook.evaluate.notes import Record, hashed
from hornbook.evaluate.task import TaskConfig
from hornbook.evaluate.wikitext import detokenized
from hornbook.infer.continuations import Likelihood, score_continuations
from hornbook.infer.engine import END_OF_TEXT, Engine


def encode_pair(tokenizer: Any, context: str, continuation: str) -> Any:
    """Context and continuation as ids: blanks at the context's end go with what follows.

    Raises :class:`UserError` for a continuation that no token is left of.
    """
    if not context:
        return [prefix_id(tokenizer)], _some(
            tokenizer.encode(continuation), continuation
        )
    stripped = context.rstrip()
    if not stripped:
        return encode_pair(tokenizer, "", context + continuation)
    continuation = context[len(stripped) :] + continuation
    known = tokenizer.encode(stripped)
    whole = tokenizer.encode(stripped + continuation)
    return known, _some(whole[len(known) :], continuation)


def _some(ids: list[int], text: str) -> list[int]:
    if not ids:
        raise UserError(
            f"A choice without a token of its own cannot be scored: {text!r}."
        )
    return ids


def prefix_id(tokenizer: Any) -> int:
    """What stands before a text that nothing stands before."""
    return tokenizer.special[END_OF_TEXT]


def likelihoods(engine: Engine, examples: list[Example]) -> list[list[Likelihood]]:
    """For each example the likelihood of each of its continuations after its context."""
    pairs = [
        encode_pair(engine.tokenizer, context, continuation)
        for example in examples
        for context, continuation in zip(
            example.contexts, example.continuations, strict=True
        )
    ]
    found = iter(score_continuations(engine.model, pairs))
    return [[next(found) for _ in example.continuations] for example in examples]


def choose(engine: Engine, examples: list[Example]) -> list[Record]:
    """Which choice is likeliest, whole and per character."""
    records = []
    for example, found in zip(examples, likelihoods(engine, examples), strict=True):
        nats = [likelihood.nats for likelihood in found]
        lengths = [max(len(choice), 1) for choice in example.choices]
        norms = [value / length for value, length in zip(nats, lengths, strict=True)]
        scores = {
            "acc": float(nats.index(max(nats)) == example.gold),
            "acc_norm": float(norms.index(max(norms)) == example.gold),
        }
        prompt = hashed("\0".join(example.contexts))
        records.append(Record(example.number, prompt, scores, example.group, nats))
    return records


def fill(engine: Engine, examples: list[Example]) -> list[Record]:
    """How likely the missing text is, and whether greedy decoding gives it."""
    return [
        Record(
            example.number,
            hashed(example.contexts[0]),
            {"acc": float(found[0].is_greedy), "nats": found[0].nats},
            example.group,
            [found[0].nats],
        )
        for example, found in zip(examples, likelihoods(engine, examples), strict=True)
    ]


def rolling_windows(
    ids: list[int], prefix: int, longest: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Contexts and continuations that predict every id once, at most ``longest`` at a time.

    The last window is as wide as the others and begins earlier.
    """
    done = 0
    while done < len(ids):
        end = min(done + longest, len(ids))
        if done == 0:
            yield [prefix], ids[:end]
        else:
            yield ids[max(end - longest - 1, 0) : done], ids[done:end]
        done = end


def roll(
    engine: Engine, task: TaskConfig, renderer: Renderer, examples: list[Example]
) -> list[Record]:
    """How likely whole texts are, every token predicted once."""
    longest = engine.model.config.context_length
    prefix = prefix_id(engine.tokenizer)
    requests, counts = [], []
    for example in examples:
        text = detokenized(example.target) if task.detokenize else example.target
        windows = list(rolling_windows(engine.tokenizer.encode(text), prefix, longest))
        requests += windows
        counts.append(len(windows))
    found = iter(score_continuations(engine.model, requests))
    records = []
    for example, count in zip(examples, counts, strict=True):
        nats = math.fsum(next(found).nats for _ in range(count))
        measured = example.target
        if task.measured:
            measured = renderer.text("measured", example.record)
        scores = {
            "nats": nats,
            "words": float(len(re.split(r"\s+", measured))),
            "bytes": float(len(measured.encode("utf-8", "surrogatepass"))),
        }
        records.append(
            Record(
                example.number, hashed(example.target), scores, example.group, [nats]
            )
        )
    return records
