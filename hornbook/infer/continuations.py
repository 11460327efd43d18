"""How likely each of several continuations is: the arithmetic behind multiple choice.

Questions share long beginnings (the same worked examples stand before each), and the choices
of a question share all of it. So a beginning is read once, a question once, and only the
choices one by one, each from a copy of the question's row of the cache.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hornbook.infer.kvcache import KVCache, Row
from hornbook.infer.pages import PAGE
from hornbook.model.transformer import Transformer

Request = tuple[list[int], list[int]]  # context, continuation: ids, at least one each
CACHED_TOKENS = 16_384  # places in the cache: bounds its memory
MAX_ROWS = 32  # contexts read side by side
WORTH_SHARING = 32  # tokens that two contexts must share for one to wait for the other


@dataclass(frozen=True)
class Likelihood:
    """``log p(continuation | context)`` in nats, and whether greedy decoding gives it."""

    nats: float
    is_greedy: bool


@dataclass
class _Question:
    """A context and the continuations asked about, by their numbers among the requests."""

    context: list[int]
    choices: list[tuple[int, list[int]]]


@torch.inference_mode()
def score_continuations(
    model: Transformer,
    requests: list[Request],
    done: Callable[[int], object] = lambda count: None,
) -> list[Likelihood]:
    """The likelihood of each request, in order; ``done`` hears of every few that are ready.

    Of more tokens than the context length allows, the oldest are left out. The results do
    not depend on which requests are asked together, but for float32's rounding.
    """
    results: list[Likelihood | None] = [None] * len(requests)
    questions = _questions(requests, model.config.context_length)
    for group in _groups(questions):
        for some, shared in _batches(group):
            for number, found in _Reader(model, some, shared).answers():
                results[number] = found
            done(sum(len(question.choices) for question in some))
    return [result for result in results if result is not None]


def _questions(requests: list[Request], longest: int) -> list[_Question]:
    """The requests by context, in lexicographic order, so that likes lie together."""
    found: dict[tuple[int, ...], _Question] = {}
    for number, (context, continuation) in enumerate(requests):
        if not context or not continuation:
            raise ValueError(
                "a context and a continuation need at least one token each"
            )
        continuation = continuation[-longest:]
        kept = context[-(longest + 1 - len(continuation)) :]
        question = found.setdefault(tuple(kept), _Question(kept, []))
        question.choices.append((number, continuation))
    return [found[key] for key in sorted(found)]


def _groups(questions: list[_Question]) -> Iterator[list[_Question]]:
    """Neighbours that share enough, each group by itself; then all the others together."""
    alone: list[_Question] = []
    group = questions[:1]
    for before, question in itertools.pairwise(questions):
        if _shared(before.context, question.context) < WORTH_SHARING:
            if len(group) > 1:
                yield group
            else:
                alone += group
            group = []
        group.append(question)
    if len(group) > 1:
        yield group
    else:
        alone += group
    if alone:
        yield alone


def _batches(group: list[_Question]) -> Iterator[tuple[list[_Question], int]]:
    """Some of a group at a time, like lengths together, and how many tokens they share."""
    shared = _shared(group[0].context, group[-1].context)  # they are sorted
    shared = min(shared, min(len(q.context) for q in group) - 1)
    if shared < WORTH_SHARING:
        shared = 0
    group = sorted(group, key=lambda question: -len(question.context))
    while group:
        rows = max(1, min(MAX_ROWS, CACHED_TOKENS // _places(group) // 2 - 1))
        yield group[:rows], shared
        group = group[rows:]


def _places(questions: list[_Question]) -> int:
    """Places in the cache that the longest of some questions may take, padding included."""
    context = max(len(question.context) for question in questions)
    longest = max(len(ids) for question in questions for _, ids in question.choices)
    return context + longest + 2 * PAGE


def _shared(a: list[int], b: list[int]) -> int:
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


# A choice on its way: its question's row, the request, the ids, the first one's nats, greedy.
_Choice = tuple[int, int, list[int], float, bool]


class _Reader:
    """Reads a batch of questions: what they share, then each question, then the choices.

    The cache finds the beginnings that a row has in common with those read before.
    """

    def __init__(
        self, model: Transformer, questions: list[_Question], shared: int
    ) -> None:
        self.model, self.questions, self.shared = model, questions, shared
        weight = model.embedding.weight
        places = (2 * len(questions) + 1) * _places(questions)
        self.cache = KVCache(model.config, places, weight.dtype, weight.device)

    def answers(self) -> Iterator[tuple[int, Likelihood]]:
        """``(request, likelihood)`` of every choice of every question."""
        beginning = self.cache.open([])
        if self.shared:
            self._read([beginning], [self.questions[0].context[: self.shared]])
        rows = [self.cache.open(q.context[: self.shared]) for q in self.questions]
        rests = [
            question.context[len(row.ids) :]
            for row, question in zip(rows, self.questions, strict=True)
        ]
        hidden = self._read(rows, rests)
        ends = torch.tensor([len(rest) - 1 for rest in rests], device=hidden.device)
        last = hidden[torch.arange(len(rests), device=hidden.device), ends]
        after = self.model.unembed(last).float().log_softmax(-1)
        waiting: list[_Choice] = []
        for row, question in enumerate(self.questions):
            best = int(after[row].argmax())
            for number, ids in question.choices:
                first = float(after[row, ids[0]])
                if len(ids) == 1:
                    yield number, Likelihood(first, ids[0] == best)
                else:
                    waiting.append((row, number, ids, first, ids[0] == best))
        waiting.sort(key=lambda choice: -len(choice[2]))
        while waiting:
            count = self._fitting(waiting)
            yield from self._go_on(waiting[:count])
            waiting = waiting[count:]

    def _fitting(self, waiting: list[_Choice]) -> int:
        """How many choices can be read side by side: padding must not pass the context."""
        limit, longest, count = self.model.config.context_length, 0, 0
        for row, *_ in waiting[: len(self.questions)]:
            longest = max(longest, len(self.questions[row].context))
            if count and longest + len(waiting[0][2]) - 1 > limit:
                break
            count += 1
        return count

    def _go_on(self, choices: list[_Choice]) -> Iterator[tuple[int, Likelihood]]:
        """The rest of some choices, of which the first token is known already."""
        rows = [self.cache.open(self.questions[c[0]].context) for c in choices]
        hidden = self._read(rows, [ids[:-1] for _, _, ids, _, _ in choices])
        for place, (_, number, ids, first, greedy) in enumerate(choices):
            states = hidden[place, : len(ids) - 1]
            nats = self.model.unembed(states).float().log_softmax(-1)
            wanted = torch.tensor(ids[1:], device=nats.device)
            total = first + float(nats.gather(1, wanted[:, None]).double().sum())
            agrees = bool((nats.argmax(-1) == wanted).all())
            yield number, Likelihood(total, greedy and agrees)
        for row in rows:
            self.cache.close(row)

    def _read(self, rows: list[Row], ids: list[list[int]]) -> Tensor:
        """Read ``ids`` into ``rows``; hidden states (rows, longest, d_model).

        Shorter ones are padded behind, where nothing sees it.
        """
        longest = max(map(len, ids))
        tokens = torch.zeros(len(ids), longest, dtype=torch.int64)
        for place, (row, new) in enumerate(zip(rows, ids, strict=True)):
            tokens[place, : len(new)] = torch.tensor(new)
            self.cache.reserve(row, longest)
        window = self.cache.window(rows, longest)
        hidden = self.model.hidden(tokens.to(self.cache.device), cache=window)
        for row, new in zip(rows, ids, strict=True):
            self.cache.note(row, new)
        return hidden
