"""Sums as chat data: something a very small model can learn, and a program can check."""

from collections.abc import Iterator

from hornbook.align.messages import ChatData, Conversation, assistant, choice, user

LARGEST = 99


def arithmetic(holdout: float, limit: int) -> tuple[ChatData, ChatData]:
    """Additions and subtractions of numbers up to 99: to learn from, and held out.

    At most ``limit`` to learn from; which is held out depends on the question alone.
    """
    train, held_out = ChatData(), ChatData()
    for question, answer in sorted(_sums(), key=lambda s: choice(s[0], "order", 2**63)):
        share = choice(question, "holdout", 10_000) / 10_000
        split = held_out if share < holdout else train
        split.documents += 1
        if len(split.conversations) < limit:
            chat = Conversation([user(question), assistant(answer)])
            split.conversations.append(chat)
    return train, held_out


def _sums() -> Iterator[tuple[str, str]]:
    for a in range(LARGEST + 1):
        for b in range(LARGEST + 1):
            yield f"{a}+{b}=?", str(a + b)
            if a >= b:
                yield f"{a}-{b}=?", str(a - b)
