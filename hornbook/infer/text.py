"""From tokens to text while they come: whole characters only, and stop strings.

A token may end in the middle of a character (the tokenizer's stream decoder holds the
rest back) and a stop string may begin in one token and end in another (this file holds
back whatever could still become one).
"""

from typing import Protocol


class StreamDecoder(Protocol):
    """What a tokenizer's ``stream_decoder()`` returns."""

    def push(self, token: int) -> str:
        """The whole characters that ``token`` completes."""
        ...

    def flush(self) -> str:
        """What is left at the end."""
        ...


class Writer:
    """Text of one sequence; ``stopped`` turns True when a stop string appears."""

    def __init__(self, decoder: StreamDecoder, stop: tuple[str, ...]):
        self.decoder = decoder
        self.stop = tuple(text for text in stop if text)
        self.stopped = False
        self._held = ""

    def push(self, token: int) -> str:
        """Take a token; return the text that is certain to belong to the answer."""
        return self._take(self.decoder.push(token))

    def flush(self) -> str:
        """The rest, once no more tokens come."""
        shown = self._take(self.decoder.flush()) + self._held
        self._held = ""
        return shown

    def _take(self, piece: str) -> str:
        if self.stopped:
            return ""
        text = self._held + piece
        places = [place for stop in self.stop if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = max((overlap(text, stop) for stop in self.stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that ``stop`` begins with, but isn't."""
    end = text[max(0, len(text) - len(stop) + 1) :]
    place = end.find(stop[0])
    while place >= 0 and not stop.startswith(end[place:]):
        place = end.find(stop[0], place + 1)
    return len(end) - place if place >= 0 else 0
