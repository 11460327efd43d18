"""What may be asked: the bodies of requests, key by key.

A key that is not listed is refused by name; so is one of another type. The defaults are
OpenAI's. ``user`` and ``metadata`` are labels that clients put on their requests; they
change nothing here and nobody keeps them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(description="Text.")]
Id = Annotated[int, Field(ge=0, le=2**31 - 1)]
Ids = Annotated[list[Id], Field(min_length=1)]
Stop = Annotated[list[str], Field(max_length=16)]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class Body(BaseModel):
    """Base of every request: nothing unknown, nothing converted, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(Body):
    """How a stream is sent."""

    include_usage: bool = False


class Writing(Body):
    """What every request for text may say about how it is written."""

    model: str | None = Field(None, description="One of /v1/models; else the first.")
    temperature: float | None = Field(1.0, ge=0, le=100)
    top_p: float | None = Field(1.0, ge=0, le=1)
    top_k: int = Field(0, ge=0, le=2**31 - 1, description="Keep the likeliest; 0: all.")
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, ge=0.01, le=100)
    frequency_penalty: Penalty | None = 0.0
    presence_penalty: Penalty | None = 0.0
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    n: int | None = Field(1, ge=1, le=128)
    seed: Seed | None = Field(None, description="The same seed, the same text.")
    stop: str | Stop | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: str | None = Field(None, description="A label; has no effect.")


# ------------------------------------------------------------------------------------ chat


class TextPart(Body):
    """A piece of a message's text."""

    type: Literal["text"]
    text: str


Content = str | list[TextPart]


class SystemMessage(Body):
    """Instructions."""

    role: Literal["system", "developer"]
    content: Content


class UserMessage(Body):
    """A question."""

    role: Literal["user"]
    content: Content


class CalledFunction(Body):
    """A function's name and its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(Body):
    """A call that the model made."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(Body):
    """An answer, or calls of tools."""

    role: Literal["assistant"]
    content: Content | None = None
    refusal: None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1)] | None = None


class ToolMessage(Body):
    """What a tool answered."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage,
    Field(discriminator="role"),
]


class Function(Body):
    """A function that the model may call; ``parameters`` is a JSON Schema."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Body):
    """Something the model may use."""

    type: Literal["function"]
    function: Function


class FunctionName(Body):
    """One function."""

    name: str


class ToolChoice(Body):
    """The one that must be called."""

    type: Literal["function"]
    function: FunctionName


class JsonSchema(Body):
    """A schema the answer must fit."""

    name: str
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class TextFormat(Body):
    """Anything."""

    type: Literal["text"]


class ObjectFormat(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Body):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")
]


class ChatRequest(Writing):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: int | None = Field(None, ge=1, description="Else to the context's end.")
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = Field(None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] | None = Field(None, description="Labels; have no effect.")


# ------------------------------------------------------------------------------------ text


class CompletionRequest(Writing):
    """POST /v1/completions; a prompt is text or token ids, one or several."""

    prompt: (
        str
        | Ids
        | Annotated[list[str], Field(min_length=1)]
        | Annotated[list[Ids], Field(min_length=1)]
    )
    max_tokens: int | None = Field(16, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool | None = False


class EmbeddingRequest(Body):
    """POST /v1/embeddings."""

    model: str | None = None
    input: (
        str
        | Ids
        | Annotated[list[str], Field(min_length=1)]
        | Annotated[list[Ids], Field(min_length=1)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    pooling: Literal["mean", "last"] = "mean"
    user: str | None = Field(None, description="A label; has no effect.")


class TokenizeRequest(Body):
    """POST /tokenize: a text, or a conversation."""

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    add_generation_prompt: bool = True
    add_special_tokens: bool = Field(
        True, description="This tokenizer puts none around a text."
    )


class DetokenizeRequest(Body):
    """POST /detokenize."""

    model: str | None = None
    tokens: list[Id]
