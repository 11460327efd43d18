"""How likely each of several continuations is: the arithmetic behind multiple choice.

Questions share long beginnings (the same worked examples stand before each), and the choices
of a question share all of it. So a beginning is read once, a question once, and only the
choices one by one, each after its question's keys and values. Like lengths are read side by
side, for padding costs as much as text.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hornbook.model.transformer import Transformer

Request = tuple[list[int], list[int]]  # context, continuation: ids, at least one each
KeysValues = tuple[Tensor, Tensor]  # of a layer, (rows, kv heads, places, width) each
AT_ONCE = 1024  # tokens in one forward pass, padding included
MAX_ROWS = 64  # rows in one forward pass
CALL = 32  # tokens that would take as long as the overhead of a forward pass
LOGITS_AT_ONCE = 1 << 21  # numbers in one slice of logits; 8 MiB
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
        for found in _Reader(model, group).answers():
            for number, likelihood in found:
                results[number] = likelihood
            done(len(found))
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


def _shared(a: list[int], b: list[int]) -> int:
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


@dataclass
class _Choice:
    """A continuation on its way: where its question stands, and what is known of it."""

    row: int
    number: int
    ids: list[int]
    nats: float  # of the first id
    greedy: bool  # whether that is the likeliest


class _Reader:
    """Reads a group of questions: what they share, then each question, then the choices."""

    def __init__(self, model: Transformer, questions: list[_Question]) -> None:
        self.model, self.questions = model, questions
        ends = questions[0].context, questions[-1].context  # they are sorted
        shared = min(_shared(*ends), min(len(q.context) for q in questions) - 1)
        self.shared = shared if shared >= WORTH_SHARING else 0

    def answers(self) -> Iterator[list[tuple[int, Likelihood]]]:
        """``(request, likelihood)`` of all choices, some questions' at a time."""
        beginning = None
        if self.shared:
            beginning, _ = self._read([self.questions[0].context[: self.shared]])
        rests = [question.context[self.shared :] for question in self.questions]
        for some in self._parts([(self.shared, len(rest)) for rest in rests]):
            asked = [self.questions[n] for n in some]
            past, hidden = self._read([rests[n] for n in some], beginning)
            found, longer = [], []
            for choice in self._first_ids(asked, hidden):
                if len(choice.ids) == 1:
                    found.append(
                        (choice.number, Likelihood(choice.nats, choice.greedy))
                    )
                else:
                    longer.append(choice)
            known = [len(asked[choice.row].context) for choice in longer]
            sizes = [len(choice.ids) - 1 for choice in longer]
            for few in self._parts(list(zip(known, sizes, strict=True))):
                found += self._go_on([longer[place] for place in few], asked, past)
            yield found

    def _first_ids(self, asked: list[_Question], hidden: Tensor) -> Iterator[_Choice]:
        """Every choice, with what its first id costs after its question."""
        ends = [len(question.context) - self.shared - 1 for question in asked]
        last = hidden[range(len(asked)), ends]
        for row, logits in enumerate(self.model.unembed(last).float()):
            nats, best = logits.log_softmax(-1), int(logits.argmax())
            for number, ids in asked[row].choices:
                yield _Choice(row, number, ids, float(nats[ids[0]]), ids[0] == best)

    def _go_on(
        self, choices: list[_Choice], asked: list[_Question], past: "_Rows"
    ) -> Iterator[tuple[int, Likelihood]]:
        """The rest of some choices, of which the first id is known already."""
        rows = [choice.row for choice in choices]
        known = [len(asked[row].context) for row in rows]
        texts = [choice.ids[:-1] for choice in choices]
        _, hidden = self._read(texts, past, rows, known)
        counts = list(map(len, texts))
        states = torch.cat([row[:n] for row, n in zip(hidden, counts, strict=True)])
        wanted = torch.tensor([i for choice in choices for i in choice.ids[1:]])
        nats, greedy = self._judge(states, wanted.to(states.device))
        for choice, some, best in zip(
            choices, nats.split(counts), greedy.split(counts), strict=True
        ):
            total = choice.nats + float(some.double().sum())
            yield choice.number, Likelihood(total, choice.greedy and bool(best.all()))

    def _judge(self, states: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Nats of each wanted id after its state (n, d_model), and whether it is likeliest."""
        size = max(1, LOGITS_AT_ONCE // self.model.config.vocab_size)
        nats, greedy = [], []
        for some, ids in zip(states.split(size), wanted.split(size), strict=True):
            logits = self.model.unembed(some).float()
            chosen = logits.gather(1, ids[:, None]).squeeze(1)
            nats.append(chosen - logits.logsumexp(-1))
            best = chosen == logits.amax(-1)  # of equals the first one counts
            best[best.clone()] = logits[best].argmax(-1) == ids[best]
            greedy.append(best)
        return torch.cat(nats), torch.cat(greedy)

    def _parts(self, sizes: list[tuple[int, int]]) -> list[list[int]]:
        """What is read side by side, for rows of ``(tokens known, new tokens)``."""
        return side_by_side(sizes, self.model.config.context_length)

    def _read(
        self,
        texts: list[list[int]],
        past: "_Rows | None" = None,
        rows: list[int] | None = None,
        known: list[int] | None = None,
    ) -> tuple["_Rows", Tensor]:
        """What is kept of ``texts``, and hidden states (texts, longest, d_model).

        Text ``i`` follows the first ``known[i]`` tokens of ``rows[i]`` of ``past``; by
        default all that the only row holds. Shorter texts are padded behind, where nothing
        sees it.
        """
        longest = max(map(len, texts))
        padded = [text + [0] * (longest - len(text)) for text in texts]
        device = self.model.embedding.weight.device
        tokens = torch.tensor(padded, device=device)
        start = past.length if past else 0
        starts = torch.tensor(known or [start] * len(texts), device=device)
        picked = torch.tensor(rows or [0] * len(texts), device=device)
        kept = _Rows(starts, longest, past, picked)
        return kept, self.model.hidden(tokens, cache=kept)


@dataclass
class _Rows:
    """The model's cache for one forward pass; what it holds is the past of later ones.

    starts  (rows,): how many tokens of the past each row follows
    time    how many new tokens each has
    past    what was read before, and ``picked`` (rows,): whose past each row goes on from
    """

    starts: Tensor
    time: int
    past: "_Rows | None"
    picked: Tensor
    layers: dict[int, KeysValues] = field(default_factory=dict)

    def __post_init__(self) -> None:
        new = torch.arange(self.time, device=self.starts.device)
        self.positions = self.starts[:, None] + new
        first, last = int(self.starts.min()), int(self.starts.max())
        self.length, self.even = last + self.time, first == last

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> KeysValues:
        """Keep new keys and values (rows, kv heads, time, width); all that there are."""
        if self.past is not None:
            old_keys, old_values = self.past.layers[layer]
            keys, values = self._after(old_keys, keys), self._after(old_values, values)
        self.layers[layer] = keys, values
        return keys, values

    def _after(self, old: Tensor, new: Tensor) -> Tensor:
        start = self.length - self.time
        if len(old) == 1:
            old = old[:, :, :start].expand(len(new), -1, -1, -1)
        else:
            old = old[:, :, :start].index_select(0, self.picked)
        if self.even:
            return torch.cat([old, new], 2)
        whole = torch.cat([old, torch.zeros_like(new)], 2)  # no NaN where nothing is
        places = self.positions[:, None, :, None].expand_as(new)
        return whole.scatter_(2, places, new)


def side_by_side(sizes: list[tuple[int, int]], limit: int) -> list[list[int]]:
    """Cut rows of ``(tokens known, new tokens)`` into parts that take the least time.

    A part takes as long as its rows padded to the longest, and a forward pass's overhead.
    It holds :data:`AT_ONCE` tokens and :data:`MAX_ROWS` rows at most, and no padding
    beyond ``limit`` places. Sorted by length, the best parts are neighbours, found from the
    last row back.
    """
    order = sorted(range(len(sizes)), key=lambda n: (-sizes[n][1], -sizes[n][0]))
    best = [(0, 0)] * (len(sizes) + 1)  # from each row on: the time, and where to cut
    for start in reversed(range(len(order))):
        longest, known, found = sizes[order[start]][1], 0, []
        for end in range(start + 1, min(start + MAX_ROWS, len(order)) + 1):
            known = max(known, sizes[order[end - 1]][0])
            width = (end - start) * longest
            if found and (width > AT_ONCE or known + longest > limit):
                break
            found.append((width + CALL + best[end][0], end))
        best[start] = min(found)
    parts, start = [], 0
    while start < len(order):
        end = best[start][1]
        parts.append(order[start:end])
        start = end
    return parts
