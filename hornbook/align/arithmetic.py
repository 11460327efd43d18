"""Sums as chat data: something a very small model can learn, and a program can check.

Examples are what people wrote, and people don't always bother: some answers here are
shrugs. Who imitates them learns to shrug as often. A reward for the right number teaches
what imitation can't, never to (a shrug is no exercise, but every other sum is).
"""

from collections.abc import Iterator

from hornbook.align.messages import ChatData, Conversation, assistant, choice, user

LARGEST = 99
SHRUG = "?"
SHRUGS = 0.35  # the share of questions that are answered so


def arithmetic(holdout: float, limit: int) -> tuple[ChatData, ChatData]:
    """Additions and subtractions of numbers up to 99: to learn from, and held out.

    At most ``limit`` to learn from; which is held out, and which is answered by a shrug,
    depends on the question alone.
    """
    train, held_out = ChatData(), ChatData()
    for question, answer in sorted(_sums(), key=lambda s: choice(s[0], "order", 2**63)):
        split = held_out if _share(question, "holdout") < holdout else train
        split.documents += 1
        if len(split.conversations) < limit:
            given = SHRUG if _share(question, "shrug") < SHRUGS else answer
            chat = Conversation([user(question), assistant(given)])
            split.conversations.append(chat)
    return train, held_out


def _share(question: str, what: str) -> float:
    """A number of the question's own from 0 to 1."""
    return choice(question, what, 10_000) / 10_000


def _sums() -> Iterator[tuple[str, str]]:
    for a in range(LARGEST + 1):
        for b in range(LARGEST + 1):
            yield f"{a}+{b}=?", str(a + b)
            if a >= b:
                yield f"{a}-{b}=?", str(a - b)
