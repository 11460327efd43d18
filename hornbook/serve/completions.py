"""POST /v1/completions: text that goes on from a prompt, and how likely the prompt was."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from hornbook.infer.engine import END_OF_TEXT
from hornbook.infer.request import TokenScore
from hornbook.serve.jobs import Ask, Job
from hornbook.serve.logprobs import CompletionScores, Held, prompt_scores
from hornbook.serve.requests import CompletionRequest
from hornbook.serve.service import Service
from hornbook.serve.stream import respond

if TYPE_CHECKING:
    from hornbook.infer.engine import Engine


async def complete(
    service: Service, asked: CompletionRequest, request: Request
) -> Response:
    """The answer to ``asked``, whole or as a stream."""
    return await respond(Task(service, asked), request, bool(asked.stream))


class Task:
    """One request on its way."""

    def __init__(self, service: Service, asked: CompletionRequest):
        self.service, self.asked = service, asked
        self.name, self.engine = service.pick(asked.model)
        self.prompts = prompts_of(self.engine, asked.prompt)
        self.n = asked.n or 1
        service.check_count(len(self.prompts) * self.n)
        self.max_tokens = 16 if asked.max_tokens is None else asked.max_tokens
        asks = self._asks()
        service.meters.prompt_tokens.inc(sum(map(len, self.prompts)))
        self.job: Job | None = service.worker.submit(self.name, asks) if asks else None
        self.choices = [
            Choice(self.engine, index, self.prompts[index // self.n], asked)
            for index in range(len(self.prompts) * self.n)
        ]
        self.head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": self.name,
        }

    def close(self) -> None:
        """Free what is still being written."""
        if self.job is not None:
            self.job.close()

    async def answer(self) -> dict[str, Any]:
        """Everything at once."""
        pieces: dict[int, list[dict[str, Any]]] = {c.index: [] for c in self.choices}
        async for piece in self._pieces():
            pieces[piece["index"]].append(piece)
        choices = [_joined(pieces[choice.index]) for choice in self.choices]
        return {**self.head, "choices": choices, "usage": self._usage()}

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Piece by piece."""
        options = self.asked.stream_options
        told = options is not None and options.include_usage
        usage = {"usage": None} if told else {}
        async for piece in self._pieces():
            yield {**self.head, "choices": [piece], **usage}
        if told:
            yield {**self.head, "choices": [], "usage": self._usage()}

    def _asks(self) -> list[Ask]:
        more = {"max_tokens": max(1, self.max_tokens), "logprobs": self.asked.logprobs}
        samplings = [
            self.service.sampling(self.asked, prompt, self.engine, **more)
            for prompt in self.prompts
        ]
        if not self.max_tokens:
            return []
        return [
            Ask(self.prompts[i // self.n], samplings[i // self.n], i)
            for i in range(len(self.prompts) * self.n)
        ]

    async def _pieces(self) -> AsyncIterator[dict[str, Any]]:
        """The parts of choices, in the order in which they come."""
        if self.asked.echo:
            for choice, scores in zip(
                self.choices, await self._prompt_scores(), strict=True
            ):
                yield choice.echo(scores, bool(self.max_tokens))
        elif self.job is None:
            for choice in self.choices:
                yield choice.piece("", [], [], "length")
        if self.job is not None:
            async for update in self.job:
                piece = self.choices[update.index].grow(update)
                if piece is not None:
                    yield piece

    async def _prompt_scores(self) -> list[list[TokenScore | None]]:
        """For every choice those of its prompt's tokens, where they are asked for."""
        count = self.asked.logprobs
        if count is None:
            return [[] for _ in self.choices]
        found = await asyncio.gather(
            *(
                self.service.worker.call(
                    self.name,
                    partial(_scores_of, prompt=prompt, count=count),
                )
                for prompt in self.prompts
            )
        )
        return [found[choice.index // self.n] for choice in self.choices]

    def _usage(self) -> dict[str, int]:
        prompt = sum(map(len, self.prompts))
        written = sum(choice.written for choice in self.choices)
        return usage_of(prompt, written)


def _scores_of(
    engine: "Engine", prompt: list[int], count: int
) -> list[TokenScore | None]:
    return prompt_scores(engine.model, prompt, count)


@dataclass
class Choice:
    """One text of the answer: its pieces as the API words them."""

    engine: "Engine"
    index: int
    prompt: list[int]
    asked: CompletionRequest
    written: int = 0
    scores: CompletionScores = field(init=False)
    held: Held = field(init=False)

    def __post_init__(self) -> None:
        self.scores = CompletionScores(self.engine.tokenizer)
        self.held = Held(self.engine.tokenizer)

    def echo(self, scores: list[TokenScore | None], goes_on: bool) -> dict[str, Any]:
        """The prompt itself."""
        text = self.engine.tokenizer.decode(self.prompt)
        return self.piece(text, self.prompt, scores, None if goes_on else "length")

    def grow(self, update: Any) -> dict[str, Any] | None:
        """What an update adds; None when nothing of it may be shown yet."""
        self.written += len(update.ids)
        scores = self.held.release(update.scores, update.text, update.finish_reason)
        if not (update.text or scores or update.finish_reason):
            return None
        tokens = [score.token for score in scores]
        return self.piece(update.text, tokens, [*scores], update.finish_reason)

    def piece(
        self,
        text: str,
        tokens: list[int],
        scores: list[TokenScore | None],
        finish_reason: str | None,
    ) -> dict[str, Any]:
        """A choice, or a part of one."""
        wanted = self.asked.logprobs is not None
        return {
            "text": text,
            "index": self.index,
            "finish_reason": finish_reason,
            "logprobs": self.scores.of(tokens, scores) if wanted else None,
        }


def _joined(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """A choice from its parts."""
    logprobs = None
    if pieces[0]["logprobs"] is not None:
        logprobs = {
            key: [item for piece in pieces for item in piece["logprobs"][key]]
            for key in pieces[0]["logprobs"]
        }
    text = "".join(piece["text"] for piece in pieces)
    return pieces[-1] | {"text": text, "logprobs": logprobs}


def prompts_of(engine: "Engine", prompt: Any) -> list[list[int]]:
    """The ids of each prompt: texts are encoded, ids taken as they are.

    An empty text begins as a document does in training, where the tokenizer has the mark.
    """
    many = prompt if isinstance(prompt, list) and not _is_ids(prompt) else [prompt]
    return [_begun(engine, p) for p in many]


def _begun(engine: "Engine", prompt: Any) -> list[int]:
    if isinstance(prompt, list):
        return prompt
    start = engine.tokenizer.special.get(END_OF_TEXT)
    return engine.tokenizer.encode(prompt) or ([] if start is None else [start])


def _is_ids(prompt: list[Any]) -> bool:
    return isinstance(prompt[0], int)


def usage_of(prompt: int, written: int) -> dict[str, int]:
    """The ``usage`` of an answer, in tokens."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }
