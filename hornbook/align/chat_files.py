"""Conversations and preferences from people's own files, in the shapes people have.

JSONL (one record per line) or JSON (one array), plain or .gz. A record is recognised by
its keys; what can't be used is skipped, and its file and line are listed with the reason.
"""

import gzip
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from heapq import nsmallest
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hornbook.align.chat_shapes import read_record
from hornbook.align.config import ChatDataConfig
from hornbook.align.messages import ChatData, Conversation, choice
from hornbook.core.errors import UserError
from hornbook.core.progress import Progress

Item = TypeVar("Item")
SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")


def read_chat_files(config: ChatDataConfig) -> tuple[ChatData, ChatData]:
    """Training and held-out data from ``config.path``.

    Records are held out by the hash of their first message, so the same prompt never
    stands on both sides. Raises :class:`UserError` when the path holds no such files.
    """
    train, held_out = ChatData(), ChatData()
    for path in chat_files(Path(config.path).expanduser(), include=config.include):
        with Progress(path.name, total=None, unit="record") as progress:
            for place, record in read_records(path):
                progress.advance()
                _file(place, record, config.holdout, train, held_out)
    for split in (train, held_out):
        limit = config.max_pairs
        split.conversations = _some(split.conversations, limit, lambda c: c.messages)
        split.preferences = _some(split.preferences, limit, lambda p: p.prompt)
    return train, held_out


def _some(items: list[Item], limit: int, messages: Callable[[Item], Any]) -> list[Item]:
    """At most ``limit`` items in their order, chosen from all files by a hash."""
    if len(items) <= limit:
        return items

    def key(place: int) -> int:
        return choice(f"{messages(items[place])}{place}", "limit", 2**63)

    return [items[p] for p in sorted(nsmallest(limit, range(len(items)), key=key))]


def chat_files(
    path: Path, key: str = "sft.data.path", include: tuple[str, ...] = ()
) -> list[Path]:
    """The files meant by ``path``: itself, or all JSON and JSONL files below it.

    ``key`` is the setting that named it; ``include`` narrows a folder to files that match
    one of its patterns. Raises :class:`UserError` where there are none.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES))
        if include:
            names = {p: p.relative_to(path).as_posix() for p in files}
            files = [p for p in files if any(fnmatch(names[p], i) for i in include)]
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise UserError(
            f"'{key}': {path} is neither a file nor a folder that holds any "
            f"({', '.join(SUFFIXES)})."
        )
    return files


def _file(
    place: str, record: Any, holdout: float, train: ChatData, held_out: ChatData
) -> None:
    """Put one record where it belongs, or on the list of what was skipped."""
    train.documents += 1
    try:
        found = read_record(record)
    except ValueError as error:
        train.skipped.append(f"{place}: {error}")
        return
    for item in found:
        messages = item.messages if isinstance(item, Conversation) else item.prompt
        share = choice(str(messages[0]["content"]), "holdout", 10_000) / 10_000
        split = held_out if share < holdout else train
        if isinstance(item, Conversation):
            split.conversations.append(item)
        else:
            split.preferences.append(item)


def read_records(path: Path) -> Iterator[tuple[str, Any]]:
    """The records of a file with their places; a line that is no JSON comes as a string."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as handle:
            if path.name.removesuffix(".gz").endswith(".json"):
                yield from _array(path, handle.read())
                return
            for number, line in enumerate(handle, 1):
                if line.strip():
                    yield f"{path}, line {number}", _decode(line)
    except (OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None


def _array(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    records = _decode(content)
    if not isinstance(records, list):
        raise UserError(f"{path} is not a JSON array of records; is it JSONL (.jsonl)?")
    for number, record in enumerate(records, 1):
        yield f"{path}, record {number}", record


def _decode(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"not JSON ({error})"
