"""A conversation as ids: role marks by id, contents by ``encode``.

The string form of a conversation is never tokenized: a user who types ``<|assistant|>``
has typed text, and only the marks written here are marks. One turn is::

    <|user|>What is 2 + 2?<|end|>

The Jinja template says the same for tools that work on strings (Transformers, vLLM,
llama.cpp); on text without special-token names both give the same ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hornbook.core.errors import UserError
from hornbook.tokenizer.base import Tokenizer

ROLES = ("system", "user", "assistant", "tool")
END = "<|end|>"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- message['content'] + '<|end|>' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


@dataclass(frozen=True)
class ChatIds:
    """One conversation: ``ids`` and ``mask``, both ``(tokens,)``, int32 and uint8.

    ``mask`` is 1 on what the assistant writes, its closing ``<|end|>`` included.
    """

    ids: np.ndarray
    mask: np.ndarray


def render_chat(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, str]],
    add_generation_prompt: bool = False,
) -> ChatIds:
    """Ids and mask of ``messages``, each ``{"role": ..., "content": ...}``.

    ``add_generation_prompt`` ends with ``<|assistant|>``: the model's turn to write.
    Raises :class:`UserError` for an unknown role or a content that is not text.
    """
    parts: list[np.ndarray] = []
    masks: list[np.ndarray] = []

    def add(ids: np.ndarray | list[int], mask: int) -> None:
        parts.append(np.asarray(ids, np.int32))
        masks.append(np.full(len(ids), mask, np.uint8))

    for number, message in enumerate(messages, 1):
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise UserError(
                f"Message {number} has the role '{role}'; it can be {', '.join(ROLES)}."
            )
        if not isinstance(content, str):
            raise UserError(f"Message {number} has no text in 'content'.")
        written = int(role == "assistant")
        add([tokenizer.special[f"<|{role}|>"]], 0)
        add(tokenizer.encode_array(content), written)
        add([tokenizer.special[END]], written)
    if add_generation_prompt:
        add([tokenizer.special["<|assistant|>"]], 0)
    if not parts:
        return ChatIds(np.empty(0, np.int32), np.empty(0, np.uint8))
    return ChatIds(np.concatenate(parts), np.concatenate(masks))
