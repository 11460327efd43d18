"""Preference pairs from statements: the right answer against its neighbour's.

Statements of one group (a module, a text) are sorted by length and paired with their
neighbour, each serving as the other's wrong answer. So both answers of a pair are equally
long on average, and every body is the right one exactly as often as the wrong one: nothing
but the match of question and answer tells them apart. Half of the wrong answers keep their
own opening and so answer another question; the others say something false about the right
thing, which is harder to see.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from hornbook.align.messages import Message, Preference, choice


@dataclass(frozen=True)
class Statement:
    """A question and its answer, ``lead + body``; ``lead`` belongs to the question."""

    prompt: Message
    lead: str
    body: str
    group: str  # statements of one group are the hardest to tell apart
    kind: str  # statements of another kind are too easy


def pair(statements: Iterable[Statement]) -> Iterator[Preference]:
    """Two preferences for each pair of neighbours; the odd ones out are paired at the end."""
    seen: set[str] = set()
    distinct = []
    for statement in statements:  # a body that two questions share is wrong for neither
        if statement.body not in seen:
            seen.add(statement.body)
            distinct.append(statement)
    leftover: list[Statement] = []
    yield from _pair_groups(distinct, lambda s: (s.kind, s.group), leftover)
    yield from _pair_groups(leftover, lambda s: (s.kind,), [])


def _pair_groups(statements, key, leftover: list[Statement]) -> Iterator[Preference]:
    """Pair within the groups of ``key``; what stays single goes to ``leftover``."""
    ordered = sorted(statements, key=lambda s: (*key(s), len(s.body), s.body))
    for _, group in groupby(ordered, key=key):
        members = list(group)
        if len(members) % 2:
            leftover.append(members.pop())
        for one, other in zip(members[::2], members[1::2], strict=True):
            yield prefer(one, other)
            yield prefer(other, one)


def prefer(right: Statement, wrong: Statement) -> Preference:
    """``right``'s own answer over ``wrong``'s, under the one's opening or the other's."""
    both = "\0".join(sorted((right.body, wrong.body)))  # the same for both directions
    opening = (right if choice(both, "opening", 2) else wrong).lead
    return Preference([right.prompt], right.lead + right.body, opening + wrong.body)
