"""Continuous batching: many requests at once, each joining and leaving when it likes.

Each :meth:`Batch.step` reads a chunk of one waiting prompt and writes the next token of
every sequence that is being written, so a long prompt holds nobody up for long. When the
cache is full the youngest sequence waits and is read again later.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.infer.decoder import FEW, Decoder
from hornbook.infer.kvcache import Row
from hornbook.infer.logits import NEVER, adjust, is_plain
from hornbook.infer.pages import PAGE, NoRoomError
from hornbook.infer.request import Sequence, TokenScore, token_score
from hornbook.infer.sampling import sample, uniform
from hornbook.infer.speculate import Drafter


@dataclass
class Place:
    """A live sequence and its row of the cache."""

    sequence: Sequence
    row: Row
    drafted: list[int] = field(default_factory=list)
    right: int = 0  # how many of them turned out to be what the model chose

    def unread(self) -> list[int]:
        """The token chosen last, and the guesses after it."""
        return [self.sequence.ids[-1], *self.drafted]


class Batch:
    """Requests being served together by one decoder.

    ``banned`` maps a request's stop ids to the ids that may not be chosen.
    """

    def __init__(
        self,
        decoder: Decoder,
        max_rows: int,
        banned: Callable[[frozenset[int]], Tensor],
        drafter: Drafter | None = None,
    ):
        self.decoder, self.max_rows = decoder, max_rows
        self.banned, self.drafter = banned, drafter
        self.waiting: deque[Sequence] = deque()
        self.reading: Place | None = None
        self.live: list[Place] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything left to do."""
        return bool(self.waiting or self.reading or self.live)

    def add(self, sequence: Sequence) -> None:
        """Let a sequence take part as soon as there is room."""
        self.waiting.append(sequence)

    def cancel(self, sequence: Sequence) -> None:
        """Stop working on a sequence, wherever it is."""
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        for place in [*self.live, *([self.reading] if self.reading else [])]:
            if place.sequence is sequence:
                self._free(place)

    def close(self) -> None:
        """Stop working on everything."""
        self.waiting.clear()
        for place in [*self.live, *([self.reading] if self.reading else [])]:
            self._free(place)

    @torch.no_grad()
    def step(self) -> list[Sequence]:
        """Read a chunk, write a token of each live sequence; which ones grew or ended."""
        grown = [sequence for sequence in self.waiting if sequence.finish_reason]
        for sequence in grown:
            self.waiting.remove(sequence)
        live = list(self.live)
        grown += self._read()
        grown += self._write([place for place in live if place in self.live])
        return grown

    def _read(self) -> list[Sequence]:
        """Go on with the prompt being read, or begin the next one."""
        if self.reading is None and self.waiting and self._has_room(self.waiting[0]):
            sequence = self.waiting.popleft()
            row = self.decoder.open(sequence.tokens, sequence.request.adapter)
            self.reading = Place(sequence, row)
        place = self.reading
        if place is None:
            return []
        try:
            logits = self.decoder.read(place.row, place.sequence.tokens)
        except NoRoomError:
            return self._wait_for_room(place)
        if logits is None:
            return []
        self.reading = None
        self.live.append(place)
        self._grow([place], logits)
        self._drop_finished()
        return [place.sequence]

    def _has_room(self, sequence: Sequence) -> bool:
        """Whether one more can join and still leave each a page to write on."""
        if not self.live:
            return True
        pages = len(sequence.tokens) // PAGE + 2 + len(self.live)
        return (
            len(self.live) < self.max_rows and self.decoder.cache.pages.room() >= pages
        )

    def _wait_for_room(self, place: Place) -> list[Sequence]:
        """Put a sequence back until others have ended; without others there is no hope."""
        self._free(place)
        if self.live or self.reading:
            self.waiting.appendleft(place.sequence)
            return []
        held = self.decoder.cache.pages.count * PAGE
        place.sequence.fail(
            f"The cache holds {held} tokens, too few for this sequence of "
            f"{len(place.sequence.tokens)}; give the engine a larger one."
        )
        return [place.sequence]

    def _write(self, places: list[Place]) -> list[Sequence]:
        """The next token of each, and more where guesses turn out right."""
        if not places:
            return []
        if self.drafter is not None:
            self._draft(places, self.drafter)
        try:
            logits = self.decoder.extend(
                [place.row for place in places], [place.unread() for place in places]
            )
        except NoRoomError:
            return self._wait_for_room(self.live[-1])
        for turn in range(max(map(len, logits))):
            still = [i for i, place in enumerate(places) if _confirmed(place, turn)]
            if still:
                chosen = torch.stack([logits[i][turn] for i in still])
                self._grow([places[i] for i in still], chosen)
        for place in places:
            wrong = len(place.drafted) - place.right
            self.decoder.truncate(place.row, len(place.row.ids) - wrong)
        self._drop_finished()
        return [place.sequence for place in places]

    def _draft(self, places: list[Place], drafter: Drafter) -> None:
        for place in places:
            left = place.sequence.request.sampling.max_tokens - len(place.sequence.ids)
            room = self.decoder.capacity - len(place.row.ids) - 1
            guesses = drafter.propose(place.sequence)
            place.drafted = guesses[: max(0, min(left - 1, room, FEW - 1))]
            place.right = 0

    def _grow(self, places: list[Place], logits: Tensor) -> None:
        """Choose a token for each place from its row of ``logits`` (places, vocab_size)."""
        sequences = [place.sequence for place in places]
        scores = [_logprobs(s, row) for s, row in zip(sequences, logits, strict=True)]
        ready = []
        for i, sequence in enumerate(sequences):
            try:
                self._prepare(sequence, logits[i])
                ready.append(i)
            except UserError as error:
                sequence.fail(str(error))
        chosen = _choose([sequences[i] for i in ready], logits[ready])
        for i, token in zip(ready, chosen, strict=True):
            sequence, shares = sequences[i], scores[i]
            score = _score(sequence, shares, token) if shares is not None else None
            sequence.take(token, score)

    def _prepare(self, sequence: Sequence, logits: Tensor) -> None:
        """Everything that changes a sequence's logits, in place."""
        request = sequence.request
        if not is_plain(request.sampling):
            adjust(logits, request.prompt, sequence.ids, request.sampling)
        logits[self.banned(request.stop_ids).to(logits.device)] = NEVER
        if sequence.guide is not None:
            allowed = sequence.guide.allowed(request.stop_ids)
            logits.masked_fill_(~allowed.to(logits.device), NEVER)

    def _drop_finished(self) -> None:
        for place in list(self.live):
            if place.sequence.finish_reason:
                self._free(place)

    def _free(self, place: Place) -> None:
        self.decoder.close(place.row)
        if self.drafter is not None:
            self.drafter.forget(place.sequence)
        if place is self.reading:
            self.reading = None
        else:
            self.live.remove(place)


def _confirmed(place: Place, turn: int) -> bool:
    """Whether the logits after guess number ``turn`` are those after what was chosen."""
    if not turn:
        return True
    if place.sequence.finish_reason or place.right < turn - 1:
        return False
    if turn > len(place.drafted) or place.sequence.ids[-1] != place.drafted[turn - 1]:
        return False
    place.right = turn
    return True


def _choose(sequences: Iterable[Sequence], logits: Tensor) -> list[int]:
    """One token per row; rows with the same settings are sampled together."""
    groups: dict[tuple, list[int]] = {}
    sequences = list(sequences)
    for i, sequence in enumerate(sequences):
        s = sequence.request.sampling
        groups.setdefault((s.temperature, s.top_k, s.top_p, s.min_p), []).append(i)
    chosen = [0] * len(sequences)
    for places in groups.values():
        draws = [_draw(sequences[i]) for i in places]
        rows = logits if len(places) == len(chosen) else logits[places]
        tokens = sample(rows, draws, sequences[places[0]].request.sampling)
        for i, token in zip(places, tokens, strict=True):
            chosen[i] = token
    return chosen


def _draw(sequence: Sequence) -> float:
    request = sequence.request
    return uniform(request.sampling.seed, request.number, len(sequence.ids))


def _logprobs(sequence: Sequence, logits: Tensor) -> Tensor | None:
    if sequence.request.sampling.logprobs is None:
        return None
    return logits.float().log_softmax(dim=-1)


def _score(sequence: Sequence, logprobs: Tensor, token: int) -> TokenScore:
    return token_score(logprobs, token, sequence.request.sampling.logprobs or 0)
