"""Questions about a function or a class, with the answers its source gives.

Several natural phrasings of each question, one formula for each answer: a small model
learns a formula, and a person asks as they like.
"""

from collections.abc import Iterator

from hornbook.align.docstrings import INFINITIVES, sentences, shorten
from hornbook.align.messages import Conversation, Message, assistant, choice, user
from hornbook.align.subjects import Subject

WHAT = {
    "function": (
        "What does `{name}` do?",
        "What does the function `{name}` do?",
        "What is `{name}` for?",
        "What does `{own}` in `{module}` do?",
        "Tell me what `{name}` does.",
    ),
    "method": (
        "What does `{name}` do?",
        "What does the method `{name}` do?",
        "What is `{name}` for?",
        "Tell me what `{name}` does.",
    ),
    "class": (
        "What is `{name}`?",
        "What is the class `{name}` for?",
        "What is `{name}` for?",
        "What is `{own}` in `{module}`?",
        "Tell me what `{name}` is.",
    ),
}
EXPLAIN = ("Explain `{name}`.", "Describe `{name}`.", "Tell me more about `{name}`.")
ARGUMENTS = (
    "Which arguments does `{name}` take?",
    "What are the arguments of `{name}`?",
    "What can I pass to `{name}`?",
)
MODULE = (
    "In which module is `{own}`?",
    "Which module has `{own}`?",
    "Where do I find `{own}`?",
)
WRITE = (
    "Write a {kind} `{signature}` that {does}.",
    "Write a Python {kind} `{signature}` that {does}.",
    "Write a {kind} that {does}.",
    "Define `{signature}`, which {does}.",
)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
MAX_QUESTION_CHARS = 240


def conversations(
    subject: Subject, max_answer_chars: int, in_one_module: bool
) -> Iterator[Conversation]:
    """All that is asked about ``subject``, in one or two turns.

    ``in_one_module`` says that no other module defines the name, so that "In which module
    is it?" has an answer.
    """
    what = describe(subject, max_answer_chars)
    arguments = list_arguments(subject, max_answer_chars)
    if what and arguments and choice(subject.full_name, "turns", 4) == 0:
        yield Conversation([*what, user("Which arguments does it take?"), arguments[1]])
    elif what:
        yield Conversation(what)
    if arguments and choice(subject.full_name, "arguments", 3) == 0:
        yield Conversation(arguments)
    for more in (
        explain(subject, max_answer_chars),
        name_module(subject) if in_one_module else None,
        write(subject, max_answer_chars),
    ):
        if more:
            yield Conversation(more)


def question(templates: tuple[str, ...], subject: Subject, **more: str) -> Message:
    """One of the phrasings, always the same one for a subject."""
    if not subject.module:
        templates = tuple(t for t in templates if "{module}" not in t)
    template = templates[choice(subject.full_name, templates[0], len(templates))]
    return user(
        template.format(
            name=subject.full_name, own=subject.name, module=subject.module, **more
        )
    )


def lead(subject: Subject) -> str:
    """How every description opens: the name, then what it does or is."""
    return f"`{subject.full_name}` "


def describe(subject: Subject, max_answer_chars: int) -> list[Message]:
    """The first sentence. Empty when it is too long."""
    answer = f"{lead(subject)}{subject.predicate}."
    if len(answer) > max_answer_chars:
        return []
    return [question(WHAT[subject.kind], subject), assistant(answer)]


def explain(subject: Subject, max_answer_chars: int) -> list[Message]:
    """The whole first paragraph, where it has more than one sentence."""
    first = f"{lead(subject)}{subject.predicate}."
    more = " ".join(sentences(subject.paragraph)[1:])
    rest = shorten(more, max_answer_chars - len(first) - 1)
    if not rest or not rest.endswith((".", "!", "?")):
        return []
    return [question(EXPLAIN, subject), assistant(f"{first} {rest}")]


def list_arguments(subject: Subject, max_answer_chars: int) -> list[Message]:
    """What the parameters are called, where the source says so."""
    if subject.arguments is None:
        return []
    names = [f"`{name}`" for name in subject.arguments]
    if len(names) >= len(NUMBERS):
        return []
    answer = f"`{subject.full_name}` takes {NUMBERS[len(names)]} argument"
    answer += "" if len(names) == 1 else "s"
    if names:
        listed = " and ".join(
            [", ".join(names[:-1]), names[-1]] if names[1:] else names
        )
        answer += f": {listed}"
    if len(answer) >= max_answer_chars:
        return []
    return [question(ARGUMENTS, subject), assistant(f"{answer}.")]


def name_module(subject: Subject) -> list[Message]:
    """Where a function or class lives."""
    if not subject.module or subject.kind == "method":
        return []
    answer = f"`{subject.name}` is in the module `{subject.module}`."
    return [question(MODULE, subject), assistant(answer)]


def write(subject: Subject, max_answer_chars: int) -> list[Message]:
    """A request for the code, answered by the code; only for descriptions of an action."""
    if not subject.source or len(subject.source) > max_answer_chars:
        return []
    if subject.predicate.split()[0] not in INFINITIVES:
        return []
    asked = question(
        WRITE,
        subject,
        kind=subject.kind,
        signature=subject.signature,
        does=subject.predicate,
    )
    too_long = len(asked["content"]) > MAX_QUESTION_CHARS
    return [] if too_long else [asked, assistant(subject.source)]
