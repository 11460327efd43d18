"""POST /v1/chat/completions: the next turn of a conversation."""

import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from hornbook.infer.request import TokenScore
from hornbook.serve.completions import usage_of
from hornbook.serve.errors import ApiError
from hornbook.serve.jobs import Ask, Update
from hornbook.serve.logprobs import Held, chat_scores
from hornbook.serve.requests import ChatRequest, ObjectFormat, SchemaFormat
from hornbook.serve.service import Service, render_turns, role_of, text_of
from hornbook.serve.stream import respond
from hornbook.serve.tools import Toolbox

if TYPE_CHECKING:
    from hornbook.infer.engine import Engine


async def chat(service: Service, asked: ChatRequest, request: Request) -> Response:
    """The answer to ``asked``, whole or as a stream."""
    return await respond(Task(service, asked), request, bool(asked.stream))


class Task:
    """One request on its way."""

    def __init__(self, service: Service, asked: ChatRequest):
        self.asked = asked
        self.name, self.engine = service.pick(asked.model)
        self.tools = Toolbox.of(asked)
        n = asked.n or 1
        service.check_count(n)
        self.prompt = _prompt(self.engine, asked, self.tools)
        sampling = service.sampling(
            asked,
            self.prompt,
            self.engine,
            max_tokens=asked.max_completion_tokens or asked.max_tokens,
            logprobs=_logprobs(asked),
            schema=_schema(asked, self.tools),
        )
        asks = [Ask(self.prompt, sampling, number) for number in range(n)]
        self.job = service.worker.submit(self.name, asks)
        service.meters.prompt_tokens.inc(len(self.prompt))
        self.choices = [Choice(self.engine, self.tools, i) for i in range(n)]

    def close(self) -> None:
        """Free what is still being written."""
        self.job.close()

    async def answer(self) -> dict[str, Any]:
        """Everything at once."""
        async for update in self.job:
            self.choices[update.index].grow(update)
        return {
            **self._head("chat.completion"),
            "choices": [self._whole(choice) for choice in self.choices],
            "usage": self._usage(),
        }

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Piece by piece: whose turn it is, the text, why it ended."""
        options = self.asked.stream_options
        told = options is not None and options.include_usage
        usage = {"usage": None} if told else {}
        head = self._head("chat.completion.chunk")
        async for update in self.job:
            choice = self.choices[update.index]
            if not choice.introduced:
                choice.introduced = True
                start = {"role": "assistant", "content": ""}
                yield {**head, "choices": [_delta(choice.index, start)], **usage}
            for delta, scores, reason in choice.grow(update):
                logprobs = (
                    chat_scores(self.engine.tokenizer, scores) if scores else None
                )
                part = _delta(choice.index, delta, reason, logprobs)
                yield {**head, "choices": [part], **usage}
        if told:
            yield {**head, "choices": [], "usage": self._usage()}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self.name,
        }

    def _whole(self, choice: "Choice") -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if choice.calls else choice.text,
            "refusal": None,
        }
        if choice.calls:
            message["tool_calls"] = choice.calls
        wanted = _logprobs(self.asked) is not None
        scores = chat_scores(self.engine.tokenizer, choice.scores) if wanted else None
        return {
            "index": choice.index,
            "message": message,
            "finish_reason": choice.finish_reason,
            "logprobs": scores,
        }

    def _usage(self) -> dict[str, int]:
        written = sum(choice.written for choice in self.choices)
        return usage_of(len(self.prompt), written)


Piece = tuple[dict[str, Any], list[TokenScore], str | None]


@dataclass
class Choice:
    """One answer as it grows; text that may be a call of a tool is held back."""

    engine: "Engine"
    tools: Toolbox
    index: int
    text: str = ""
    written: int = 0
    shown: int = 0  # characters
    introduced: bool = False
    finish_reason: str | None = None
    scores: list[TokenScore] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    held: Held = field(init=False)
    _new: list[TokenScore] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.held = Held(self.engine.tokenizer)

    def grow(self, update: Update) -> list[Piece]:
        """Take in an update: deltas, the scores of their tokens, and why it ended."""
        self.written += len(update.ids)
        self.text += update.text
        new = self.held.release(update.scores, update.text, update.finish_reason)
        self.scores += new
        self._new += new
        ended = update.finish_reason
        if ended:
            self.calls = self.tools.read(self.text)
            self.finish_reason = "tool_calls" if self.calls else ended
        elif self.tools.may_be_call(self.text):
            return []
        pieces: list[Piece] = []
        if self.calls:
            calls = [{"index": i, **call} for i, call in enumerate(self.calls)]
            pieces.append(({"tool_calls": calls}, self._taken(), None))
        elif len(self.text) > self.shown:
            fresh, self.shown = self.text[self.shown :], len(self.text)
            pieces.append(({"content": fresh}, self._taken(), None))
        if ended:
            pieces.append(({}, self._taken(), self.finish_reason))
        return pieces

    def _taken(self) -> list[TokenScore]:
        scores, self._new = self._new, []
        return scores


def _delta(
    index: int, delta: dict[str, Any], reason: str | None = None, logprobs: Any = None
) -> dict[str, Any]:
    return {
        "index": index,
        "delta": delta,
        "finish_reason": reason,
        "logprobs": logprobs,
    }


def _prompt(engine: "Engine", asked: ChatRequest, tools: Toolbox) -> list[int]:
    """The conversation's ids; what is to be known of tools goes before it."""
    turns = [{"role": role_of(m), "content": text_of(m)} for m in asked.messages]
    told = tools.instructions()
    if told and turns[0]["role"] == "system":
        turns[0]["content"] += f"\n\n{told}"
    elif told:
        turns.insert(0, {"role": "system", "content": told})
    return render_turns(engine, turns)


def _logprobs(asked: ChatRequest) -> int | None:
    if asked.top_logprobs and not asked.logprobs:
        told = "'top_logprobs' needs 'logprobs': true."
        raise ApiError(422, told, "invalid_value", "top_logprobs")
    return (asked.top_logprobs or 0) if asked.logprobs else None


def _schema(asked: ChatRequest, tools: Toolbox) -> dict[str, Any] | None:
    wanted = asked.response_format
    if tools.forced and isinstance(wanted, ObjectFormat | SchemaFormat):
        told = "'response_format' can't be kept where a tool must be called."
        raise ApiError(422, told, "invalid_value", "response_format")
    if tools.forced:
        return tools.schema()
    if isinstance(wanted, ObjectFormat):
        return {"type": "object"}
    return wanted.json_schema.schema_ if isinstance(wanted, SchemaFormat) else None
