"""What the person who watches sees: a bar with the loss, how fast, how long still."""

from types import TracebackType
from typing import Any

from rich.text import Text

from hornbook.core.progress import Progress, console, short_number
from hornbook.train.guard import Event, sentence


class View:
    """The live line of one training. Used as a context."""

    def __init__(self, label: str, steps: int, done: int) -> None:
        self.label, self.steps = label, steps
        self._progress = self._bar(done)
        self._held_out = ""

    def _bar(self, done: int) -> Progress:
        return Progress(self.label, total=self.steps, unit="step", done=done)

    def __enter__(self) -> "View":
        self._progress.__enter__()
        return self

    def step(self, record: dict[str, Any]) -> None:
        """A step is done."""
        told = [f"loss {record['loss']:.3f}"]
        if "bits_per_byte" in record:
            told.append(f"{record['bits_per_byte']:.3f} bits/byte")
        if self._held_out:
            told.append(self._held_out)
        if "tokens_per_second" in record:
            told.append(f"{short_number(record['tokens_per_second'])} tok/s")
        if "mfu" in record:
            told.append(f"{record['mfu']:.0%} MFU")
        self._progress.advance(note=", ".join(told))

    def validated(self, numbers: dict[str, float]) -> None:
        """Held-out numbers came in; the first of them stays on the line."""
        for key, unit in (
            ("validation_bits_per_byte", " bits/byte"),
            ("validation_loss", ""),
            ("validation_accuracy", ""),
        ):
            if key in numbers:
                self._held_out = f"held out {numbers[key]:.3f}{unit}"
                return

    def event(self, event: Event, step: int) -> None:
        """The guard did something; the run goes on from ``step``."""
        console.print(Text(f"{self.label}: {sentence(event)}", style="yellow"))
        if (
            step < self._progress.done
        ):  # a bar that began anew: its rate counts from here
            self._progress.__exit__(None, None, None)
            self._progress = self._bar(step)
            self._progress.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.__exit__(kind, error, trace)


class Unseen(View):
    """The live line of a rank that nobody watches."""

    def __enter__(self) -> "Unseen":
        return self

    def step(self, record: dict[str, Any]) -> None:
        """Not shown."""

    def validated(self, numbers: dict[str, float]) -> None:
        """Not shown."""

    def event(self, event: Event, step: int) -> None:
        """Not shown."""

    def __exit__(self, *error: object) -> None:
        return None
