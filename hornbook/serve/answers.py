"""What is answered, for /openapi.json; the endpoints write these shapes themselves."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hornbook.serve.requests import ToolCall

Reason = Literal["stop", "length", "tool_calls"]


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Answer):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(Answer):
    """Every refusal and failure."""

    error: ErrorBody


class Usage(Answer):
    """Tokens."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class TopLogprob(Answer):
    """A token that was likely at this place."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """The token that was chosen."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(Answer):
    """How likely the answer's tokens were."""

    content: list[TokenLogprob]
    refusal: None


class Message(Answer):
    """The model's turn."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[ToolCall] | None = None


class ChatChoice(Answer):
    """One answer."""

    index: int
    message: Message
    finish_reason: Reason
    logprobs: ChatLogprobs | None


class Chat(Answer):
    """A whole answer; a stream has its parts as ``chat.completion.chunk``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class CompletionLogprobs(Answer):
    """Token by token; the first token of a prompt has none."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(Answer):
    """One text."""

    index: int
    text: str
    finish_reason: Reason
    logprobs: CompletionLogprobs | None


class Completion(Answer):
    """A whole answer; a stream has its parts in the same form."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class Embedding(Answer):
    """One vector: numbers, or float32 in base 64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(Answer):
    """A vector for each input."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: Usage


class ModelCard(Answer):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int | None = None


class Models(Answer):
    """All of them."""

    object: Literal["list"]
    data: list[ModelCard]


class Tokens(Answer):
    """Ids."""

    tokens: list[int]
    count: int
    max_model_len: int


class Prompt(Answer):
    """Text."""

    prompt: str


class TokenizerInfo(Answer):
    """A tokenizer's marks."""

    tokenizer_class: str
    eos_token: str | None
    bos_token: str | None
    pad_token: str | None
    chat_template: str | None
    vocab_size: int
    max_model_len: int


class Health(Answer):
    """``ok``, or ``loading`` with the status 503."""

    status: Literal["ok", "loading"]


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": why}
    for status, why in {
        400: "The request can't be served as it is.",
        401: "An API key is needed.",
        403: "The server was called by a name that is not its own.",
        404: "There is no such model.",
        408: "The body did not arrive in time.",
        413: "The body is too large.",
        415: "The body is not application/json.",
        422: "A key is unknown, or its value is of another kind.",
        429: "Too many texts are being written; see retry-after.",
        500: "The server's own fault.",
        503: "The model is still being loaded; see retry-after.",
    }.items()
}


# Of a stream: what each of its events is.
EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}


def answers(model: type[Answer], streams: bool = False) -> dict[int | str, Any]:
    """The ``responses`` of an endpoint that answers ``model``."""
    content = {"text/event-stream": {"schema": EVENT}} if streams else {}
    return {200: {"model": model, "content": content}, **REFUSALS}
