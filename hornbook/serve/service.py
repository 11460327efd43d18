"""What every endpoint works with: the models by name, and a request made into asks."""

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hornbook.core.errors import UserError
from hornbook.infer.config import SamplingConfig
from hornbook.serve.config import Limits
from hornbook.serve.errors import ApiError
from hornbook.serve.meters import Meters
from hornbook.serve.requests import ChatMessage, Content, Writing
from hornbook.serve.worker import Worker
from hornbook.tokenizer.chat import render_chat

if TYPE_CHECKING:
    from hornbook.infer.engine import Engine


COLDEST = 1e-4  # temperature


@dataclass
class Service:
    """The server's own state."""

    worker: Worker
    limits: Limits
    meters: Meters
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def names(self) -> list[str]:
        """The models, as /v1/models lists them."""
        return list(self.worker.openers)

    def pick(self, model: str | None) -> tuple[str, "Engine"]:
        """The model asked for, or the first. Raises a 404, or a 503 while it loads."""
        if model is None and self.names:
            model = self.names[0]
        if model not in self.worker.openers:
            known = ", ".join(self.names) or "none: nothing is trained yet"
            raise ApiError(
                404,
                f"There is no model '{model}' here; there is {known}.",
                "model_not_found",
                "model",
            )
        if not self.worker.ready:
            raise ApiError(503, "The model is being loaded.", "loading", retry_after=1)
        return model, self.worker.models[model].engine

    def sampling(
        self, asked: Writing, prompt: list[int], engine: "Engine", **more: Any
    ) -> SamplingConfig:
        """How to write after ``prompt``: at most to the end of the context.

        ``max_tokens`` among ``more`` is the client's own bound, or None.
        """
        context = engine.model.config.context_length
        if len(prompt) > context:
            raise ApiError(
                400,
                f"The prompt has {len(prompt)} tokens, and the model's context holds "
                f"{context}; shorten it.",
                "context_length_exceeded",
            )
        room = context - len(prompt) + 1  # the last token need not be read again
        asked_tokens = more.pop("max_tokens")
        stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
        return SamplingConfig(
            max_tokens=room if asked_tokens is None else min(asked_tokens, room),
            temperature=_temperature(asked.temperature),
            top_p=1.0 if asked.top_p is None else asked.top_p,
            top_k=asked.top_k,
            min_p=asked.min_p,
            repetition_penalty=asked.repetition_penalty,
            frequency_penalty=asked.frequency_penalty or 0.0,
            presence_penalty=asked.presence_penalty or 0.0,
            logit_bias=_bias(asked.logit_bias or {}),
            seed=secrets.randbits(63) if asked.seed is None else asked.seed,
            stop=stop,
            **more,
        )

    def check_count(self, count: int) -> None:
        """Refuse a request for too many texts."""
        if count > self.limits.sequences:
            raise ApiError(
                422,
                f"This asks for {count} texts; one request may ask for "
                f"{self.limits.sequences}.",
                "too_many_sequences",
                "n",
            )


def conversation(
    engine: "Engine", messages: list[ChatMessage], add_generation_prompt: bool = True
) -> list[int]:
    """The ids of a conversation; whatever a message spells stays text."""
    turns = [{"role": role_of(m), "content": text_of(m)} for m in messages]
    return render_turns(engine, turns, add_generation_prompt)


def render_turns(
    engine: "Engine", turns: list[dict[str, str]], add_generation_prompt: bool = True
) -> list[int]:
    """The ids of ``turns``. Raises a 400 where the tokenizer has no marks for them."""
    try:
        chat = render_chat(engine.tokenizer, turns, add_generation_prompt)
    except KeyError as missing:
        raise ApiError(
            400,
            f"This model's tokenizer has no {missing.args[0]}, so it can't chat; use "
            "/v1/completions.",
            "no_chat",
        ) from None
    except UserError as error:
        raise ApiError(400, str(error)) from None
    return chat.ids.tolist()


def role_of(message: ChatMessage) -> str:
    """Our own name of a message's role."""
    return "system" if message.role == "developer" else message.role


def text_of(message: ChatMessage) -> str:
    """A message's text; of calls the JSON that the model wrote to make them."""
    if message.role == "assistant" and message.tool_calls:
        from hornbook.serve.tools import spell

        return spell(message.tool_calls)
    return plain(message.content)


def plain(content: Content | None) -> str:
    """The text of a content in parts or in one."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content)


def _temperature(asked: float | None) -> float:
    """What is colder than any distribution can show is 0: dividing by it would overflow."""
    if asked is None:
        return 1.0
    return asked if asked >= COLDEST else 0.0


def _bias(asked: dict[str, float]) -> dict[int, float]:
    try:
        return {int(token): bias for token, bias in asked.items()}
    except ValueError:
        raise ApiError(
            422,
            "The keys of 'logit_bias' are token ids.",
            "invalid_value",
            "logit_bias",
        ) from None
