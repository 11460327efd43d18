"""Continuous batching: many requests at once, each joining and leaving when it likes.

Each :meth:`Batch.step` reads a chunk of one waiting prompt and writes the next token of
every sequence that is being written, so a long prompt holds nobody up for long. When the
cache is full the youngest sequence waits and is read again later.
"""

from collections import deque
from dataclasses import dataclass, field

import torch

from hornbook.infer.choose import Banned, grow
from hornbook.infer.decoder import FEW, Decoder
from hornbook.infer.kvcache import Row
from hornbook.infer.pages import PAGE, NoRoomError
from hornbook.infer.request import Sequence
from hornbook.infer.speculate import Drafter


@dataclass(eq=False)  # compared by identity
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
        banned: Banned,
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
        grow([place.sequence], logits, self.banned)
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
                grow([places[i].sequence for i in still], chosen, self.banned)
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
