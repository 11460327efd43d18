"""Text to ids and back over HTTP, and what a client must know of the tokenizer.

In the words of vLLM, so that lm-evaluation-harness needs no tokenizer of its own.
"""

from typing import Any

from hornbook.infer.engine import END_OF_TEXT
from hornbook.serve.errors import ApiError
from hornbook.serve.requests import DetokenizeRequest, TokenizeRequest
from hornbook.serve.service import Service, conversation
from hornbook.tokenizer.chat import CHAT_TEMPLATE


def tokenize(service: Service, asked: TokenizeRequest) -> dict[str, Any]:
    """The ids of a text or a conversation.

    Text that spells a control token is text, with one exception: clients ask for the id of
    the end of text by its name, so a prompt that is this name and nothing else is that id.
    """
    _, engine = service.pick(asked.model)
    if (asked.prompt is None) == (asked.messages is None):
        told = "Give either 'prompt' or 'messages'."
        raise ApiError(422, told, "invalid_value", "prompt")
    if asked.messages is not None:
        ids = conversation(engine, asked.messages, asked.add_generation_prompt)
    elif asked.prompt == END_OF_TEXT and END_OF_TEXT in engine.tokenizer.special:
        ids = [engine.tokenizer.special[END_OF_TEXT]]
    else:
        ids = engine.tokenizer.encode(asked.prompt or "")
    return {
        "tokens": ids,
        "count": len(ids),
        "max_model_len": engine.model.config.context_length,
    }


def detokenize(service: Service, asked: DetokenizeRequest) -> dict[str, Any]:
    """The text of ids."""
    _, engine = service.pick(asked.model)
    size = engine.tokenizer.vocab_size
    strange = next((i for i in asked.tokens if i >= size), None)
    if strange is not None:
        told = f"The id {strange} lies outside the vocabulary of {size}."
        raise ApiError(422, told, "invalid_value", "tokens")
    return {"prompt": engine.tokenizer.decode(asked.tokens)}


def tokenizer_info(service: Service, model: str | None) -> dict[str, Any]:
    """The tokenizer's marks and its chat template."""
    _, engine = service.pick(model)
    special = engine.tokenizer.special
    chats = "<|user|>" in special and "<|assistant|>" in special
    return {
        "tokenizer_class": type(engine.tokenizer).__name__,
        "eos_token": END_OF_TEXT if END_OF_TEXT in special else None,
        "bos_token": None,
        "pad_token": "<|pad|>" if "<|pad|>" in special else None,
        "chat_template": CHAT_TEMPLATE if chats else None,
        "vocab_size": engine.tokenizer.vocab_size,
        "max_model_len": engine.model.config.context_length,
    }
