"""The chat-data stage: conversations and preferences, made from the run's own documents.

Python sources answer questions about their functions and classes; texts answer questions
about their headings, and, where there are too few of those, how a passage goes on. Or the
recipe names files of conversations (``sft.data.path``), which chat_files.py reads.
Held-out pairs come from held-out documents only.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from pathlib import Path
from typing import Any

from hornbook.align import prose, questions
from hornbook.align.arithmetic import arithmetic
from hornbook.align.chat_files import read_chat_files
from hornbook.align.config import ChatDataConfig
from hornbook.align.messages import (
    ChatData,
    Conversation,
    assistant,
    choice,
    write_jsonl,
)
from hornbook.align.pairing import Statement, pair
from hornbook.align.subjects import Subject, read_subjects
from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.documents import Document, read_documents

MAX_PREFERENCE_CHARS = (
    160  # one short sentence shows right or wrong as well as a long one
)
FEW = 100  # with fewer pairs than this, passages and how they go on are added
MAX_SAME = 3  # functions that share one description, word for word
LISTED = 20  # unreadable places named in the report; the rest is counted


def build_chat_data(
    config: ChatDataConfig, documents: Path, held_out: Path, out: Path
) -> dict[str, Any]:
    """Write ``sft``, ``preference`` and their ``_validation`` twins as JSONL into ``out``.

    documents  directory of training documents, held_out of validation documents (Parquet)

    Returns counts, and what was skipped. Raises :class:`UserError` when nothing can be
    made of the documents, or a file the recipe names can't be read.
    """
    if config.path:
        train, validation = read_chat_files(config)
    elif config.task:
        train, validation = arithmetic(config.holdout, config.max_pairs)
    else:
        train = make(lambda: read_documents(documents), config, "chat data")
        validation = make(
            lambda: read_documents(held_out), config, "held-out chat data"
        )
    if not train.conversations:
        raise UserError(_nothing_found(config, train))
    facts: dict[str, Any] = {}
    for suffix, split in (("", train), ("_validation", validation)):
        facts |= {
            f"sft{suffix}": write_jsonl(
                out / f"sft{suffix}.jsonl", split.conversations
            ),
            f"preference{suffix}": write_jsonl(
                out / f"preference{suffix}.jsonl", split.preferences
            ),
        }
    skipped = train.skipped + validation.skipped
    return {**facts, "skipped": len(skipped), "skipped_places": skipped[:LISTED]}


def make(
    documents: Callable[[], Iterable[Document]], config: ChatDataConfig, label: str
) -> ChatData:
    """Conversations and preferences from documents; ``documents()`` starts reading anew."""
    data = ChatData()
    limit, chars = config.max_pairs, config.max_answer_chars
    subjects = _sample(
        _subjects(documents(), data, label), limit, lambda s: s.full_name
    )
    statements = _sample(
        (
            statement
            for document in documents()
            if not is_python(document.path)
            for statement in prose.sections(document.path, document.text, chars)
        ),
        limit,
        lambda s: s.lead + s.body,
    )
    if len(subjects) + len(statements) < FEW:
        statements += _sample(
            _continuations(documents(), chars), limit, lambda s: s.body
        )
    subjects = _without_repeats(subjects)
    conversations = [*_ask(subjects, chars), *map(_converse, statements)]
    data.conversations = _sample(conversations, limit, _first_question)
    statements += filter(None, (_statement(s, chars) for s in subjects))
    data.preferences = list(pair(statements))[:limit]
    return data


def is_python(path: str) -> bool:
    """Whether a document is read as Python source, by its name."""
    return path.endswith((".py", ".pyi"))


def _subjects(
    documents: Iterable[Document], data: ChatData, label: str
) -> Iterator[Subject]:
    """The subjects of all Python documents; counts documents, lists those that don't parse."""
    with Progress(label, total=None, unit="doc") as progress:
        for document in documents:
            data.documents += 1
            progress.advance()
            if not is_python(document.path):
                continue
            try:
                yield from read_subjects(document.path, document.text)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                data.skipped.append(f"{document.path}: not Python ({error})")


def _continuations(documents: Iterable[Document], chars: int) -> Iterator[Statement]:
    for document in documents:
        if not is_python(document.path):
            yield from prose.continuations(document.path, document.text, chars)


def _sample(items: Iterable, limit: int, name: Callable[[Any], str]) -> list:
    """At most ``limit`` items, chosen by the hash of their name: memory stays bounded."""
    return nsmallest(limit, items, key=lambda item: choice(name(item), "sample", 2**63))


def _without_repeats(subjects: list[Subject]) -> list[Subject]:
    """At most ``MAX_SAME`` subjects with the same description, and one of each name."""
    seen: Counter[str] = Counter()
    kept = {}
    for subject in subjects:
        if seen[subject.predicate] < MAX_SAME and subject.full_name not in kept:
            seen[subject.predicate] += 1
            kept[subject.full_name] = subject
    return list(kept.values())


def _ask(subjects: list[Subject], max_answer_chars: int) -> Iterator[Conversation]:
    modules = Counter(subject.name for subject in subjects)
    for subject in subjects:
        alone = modules[subject.name] == 1
        yield from questions.conversations(subject, max_answer_chars, alone)


def _statement(subject: Subject, max_answer_chars: int) -> Statement | None:
    """The description of a subject, ready to be paired with another's."""
    what = questions.describe(subject, min(max_answer_chars, MAX_PREFERENCE_CHARS))
    if not what:
        return None
    opening = questions.lead(subject)
    body = what[1]["content"].removeprefix(opening)
    return Statement(what[0], opening, body, subject.module, subject.kind)


def _converse(statement: Statement) -> Conversation:
    return Conversation([statement.prompt, assistant(statement.lead + statement.body)])


def _first_question(conversation: Conversation) -> str:
    return conversation.messages[0]["content"]


def _nothing_found(config: ChatDataConfig, data: ChatData) -> str:
    if config.path:
        return (
            f"'sft.data.path': no conversation could be read from {config.path}; the "
            f"first problem was {(data.skipped or ['an empty file'])[0]}."
        )
    return (
        f"No question-and-answer pairs for [sft] could be made: the {data.documents} "
        "documents hold no documented Python, no headings with prose below them and no "
        "paragraphs of two sentences. Set 'sft.data.path' to a JSONL file of "
        "conversations, or leave out [sft] and [dpo]."
    )
