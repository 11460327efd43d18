"""The two shapes of post-training data, and how they stand on disk (JSONL).

A conversation: ``{"messages": [{"role": …, "content": …}, …]}``. A preference:
``{"prompt": [messages], "chosen": str, "rejected": str}``, two answers to one prompt.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import xxhash

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file

Message = dict[str, str]  # {"role": …, "content": …}
ROLES = ("system", "user", "assistant", "tool")


class Conversation(msgspec.Struct, frozen=True):
    """What was said, in order. The assistant's turns are what a model learns to say."""

    messages: list[Message]


class Preference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Two answers to the same prompt, the first one better; by ``margin``, where known."""

    prompt: list[Message]
    chosen: str
    rejected: str
    margin: float = 0.0


Record = TypeVar("Record", Conversation, Preference)


@dataclass
class ChatData:
    """One split: what it is made of, and what could not be read."""

    conversations: list[Conversation] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)
    documents: int = 0
    skipped: list[str] = field(default_factory=list)  # "place: why"


def user(content: str) -> Message:
    """A user's turn."""
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    """An assistant's turn."""
    return {"role": "assistant", "content": content}


def write_jsonl(path: Path, records: Iterable[Record]) -> int:
    """Write one record per line, in one step; returns how many there were."""
    count = 0
    with atomic_file(path) as handle:
        for record in records:
            handle.write(msgspec.json.encode(record) + b"\n")
            count += 1
    return count


def read_jsonl(path: Path, kind: type[Record]) -> list[Record]:
    """What :func:`write_jsonl` wrote. Raises :class:`UserError` naming a damaged line."""
    decoder = msgspec.json.Decoder(kind)
    records = []
    try:
        with open(path, "rb") as handle:
            for number, line in enumerate(handle, 1):
                try:
                    records.append(decoder.decode(line))
                except msgspec.DecodeError as error:
                    raise UserError(f"{path}, line {number}: {error}.") from None
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    return records


def choice(text: str, salt: str, n: int) -> int:
    """A number below ``n`` that depends on ``text`` and nothing else.

    Phrasings are chosen by it rather than by a random generator, so that adding one
    document changes no other document's questions.
    """
    return xxhash.xxh3_64_intdigest(f"{salt}\0{text}".encode("utf-8", "replace")) % n
