"""Progress for anything longer than a few seconds: a bar on a terminal, plain lines elsewhere.

Usage::

    with Progress("dedup", total=len(documents), unit="doc") as progress:
        for document in documents:
            ...
            progress.advance(1, note=f"loss {loss:.3f}")
"""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

console = Console(stderr=True, highlight=False)

PLAIN_INTERVAL = 10.0  # seconds between two plain lines when there is no terminal
PLAIN_SILENCE = 3.0  # work shorter than this prints nothing when there is no terminal


class Progress:
    """Rate and time left for ``total`` units of work. ``total=None`` means unknown."""

    def __init__(
        self, label: str, total: float | None, unit: str, done: float = 0
    ) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = self._started_at = done
        self._start = self._last_line = time.monotonic()
        self._note = ""
        self._bar: RichProgress | None = None

    def __enter__(self) -> "Progress":
        if console.is_terminal:
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TaskProgressColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                self.label, total=self.total, rate="", note=""
            )
        return self

    def advance(self, amount: float = 1, note: str = "", earlier: bool = False) -> None:
        """Count ``amount`` more units; ``note`` replaces the text at the end of the bar.

        What was done ``earlier``, by an attempt that was cut off, doesn't count for the rate.
        """
        self.done += amount
        self._started_at += amount if earlier else 0
        self._note = note or self._note
        if self._bar is not None:
            self._bar.update(
                self._task, completed=self.done, rate=self.rate_text(), note=self._note
            )
        elif time.monotonic() - self._last_line >= PLAIN_INTERVAL:
            self._last_line = time.monotonic()
            self._print_line()

    def rate(self) -> float:
        """Units per second since the start (since the resume, for resumed work)."""
        return (self.done - self._started_at) / max(
            time.monotonic() - self._start, 1e-9
        )

    def rate_text(self) -> str:
        """The rate as people read it, e.g. ``12.3k tok/s``."""
        return f"{short_number(self.rate())} {self.unit}/s"

    def _print_line(self) -> None:
        share, left = "", ""
        if self.total:
            share = f" {100 * self.done / self.total:3.0f}%"
            seconds = (self.total - self.done) / max(self.rate(), 1e-9)
            left = f", {duration(seconds)} left"
        note = f", {self._note}" if self._note else ""
        print(
            f"{self.label}{share}  {self.rate_text()}{left}{note}",
            file=sys.stderr,
            flush=True,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None and time.monotonic() - self._start > PLAIN_SILENCE:
            self._print_line()


def short_number(value: float) -> str:
    """1234567 -> ``1.23M``: three significant digits with a suffix."""
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
