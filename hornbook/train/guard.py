"""The guard: notices a step that goes wrong, before it has touched the weights.

A step is bad when its loss or gradient norm is no number, or far above what is usual. Its
batch is passed over and the step done with the next one. Several bad steps in a row mean
that it is not the data but the weights: then the run goes back to the newest checkpoint
known clean, one that healthy steps followed, and the stretch of data that led there is
passed over. When that happens again and again, the guard gives up.

Passing over data costs no memory of the loader: ``batches(n)`` is a pure function, so a list
of spans of ``n`` is all there is to know. Everything decided here follows from the losses
and norms seen, and all of the guard's state is in the checkpoint: killed and started again,
it decides the same.
"""

import math
import statistics
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Self

from hornbook.core.errors import UserError
from hornbook.train.config import GuardConfig

Event = dict[str, Any]

ENOUGH = 20  # healthy steps that say what is usual; none is judged before
NORMAL = 1.4826  # standard deviations per median absolute deviation, were it Gaussian
LOSS_FLOOR = (0.02, 0.05)  # least deviation: a share of the median, and nats
NORM_FLOOR = 0.3  # the same for the logarithm of the gradient norm


@dataclass
class Guard:
    """What is usual, what was passed over, and how often in a row that didn't help.

    ``losses`` and ``norms`` (logarithms) are the last healthy ones; ``skipped`` spans of
    batches, sorted and apart; ``rate`` what every learning rate is multiplied by; ``bad``
    how many steps in a row were bad, the first of them ``bad_step`` with batch
    ``bad_batch``; ``rollbacks`` how many there were since ``trouble``, the step the last
    one began from, was left behind.
    """

    config: GuardConfig
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    skipped: list[tuple[int, int]] = field(default_factory=list)
    rate: float = 1.0
    bad: int = 0
    bad_step: int = 0
    bad_batch: int = 0
    rollbacks: int = 0
    trouble: int = 0
    events: list[Event] = field(default_factory=list)

    def batch_of(self, step: int) -> int:
        """The number of the batch that ``step`` takes: skipped ones are passed over."""
        batch = step
        for start, end in self.skipped:
            if batch < start:
                break
            batch += end - start
        return batch

    def judge(self, loss: float, norm: float) -> str:
        """What is wrong with a step of this loss and gradient norm; empty when nothing is."""
        for name, value in (("loss", loss), ("gradient norm", norm)):
            if not math.isfinite(value):
                return f"the {name} is no longer a number"
        if not self.config.enabled or len(self.losses) < ENOUGH:
            return ""
        share, least = LOSS_FLOOR
        usual, limit = self._limit(self.losses, share, least)
        if loss > limit:
            return f"the loss is {loss:.3g}, usual is {usual:.3g}"
        usual, limit = self._limit(self.norms, 0.0, NORM_FLOOR)
        if _log(norm) > limit:
            return f"the gradient norm is {norm:.3g}, usual is {math.exp(usual):.3g}"
        return ""

    def _limit(
        self, seen: list[float], share: float, least: float
    ) -> tuple[float, float]:
        """What is usual by the last of ``seen``, and above what another is a spike.

        Medians don't move when a few values are wild. The spread is taken from the
        differences of neighbours, which a loss that falls as a whole does not widen.
        """
        usual = statistics.median(seen[-ENOUGH:])
        steps = (abs(after - before) for before, after in pairwise(seen))
        spread = NORMAL * statistics.median(steps) / math.sqrt(2)
        deviation = max(spread, share * abs(usual), least)
        return usual, usual + self.config.spike * deviation

    def healthy(self, step: int, loss: float, norm: float) -> None:
        """Remember a step that went well."""
        self.losses = [*self.losses, loss][-self.config.window :]
        self.norms = [*self.norms, _log(norm)][-self.config.window :]
        self.bad = 0
        if self.rollbacks and step >= self.trouble + self.config.clean_after:
            self.rollbacks = 0

    def strike(self, step: int, why: str, *, damaged: bool = False) -> bool:
        """Note a bad ``step`` and pass over its batch; whether the weights must go back.

        ``damaged`` says that the weights are known to be bad, whatever the count. Raises
        :class:`UserError` when the guard is off.
        """
        if not self.config.enabled:
            raise UserError(
                f"At step {step + 1} {why}, and the guard is off; a lower learning rate is "
                "the usual remedy."
            )
        batch = self.batch_of(step)
        if self.bad == 0:
            self.bad_step, self.bad_batch = step, batch
        self.bad += 1
        if damaged or self.bad >= self.config.patience:
            return True
        self._pass_over(batch, batch + 1)
        self._note(step, "skipped", why, batches=[batch, batch + 1])
        return False

    def is_clean(self, saved: int) -> bool:
        """Whether a checkpoint after ``saved`` steps had healthy ones follow it."""
        return saved == 0 or saved + self.config.clean_after <= self.bad_step

    def roll_back(self, step: int, why: str, to: int, before: Self) -> None:
        """Go on from the checkpoint after ``to`` steps, whose guard was ``before``.

        Passes over every batch from shortly before the first bad one to the last. Raises
        :class:`UserError` after too many rollbacks in a row.
        """
        self.rollbacks += 1
        if self.rollbacks > self.config.give_up:
            raise UserError(
                f"At step {step + 1} {why}, and {self.config.give_up} rollbacks in a row "
                "didn't help. The checkpoint of step "
                f"{to} is sound; try a lower learning rate, look at the data of batches "
                f"{self._spans()}, or raise 'guard.spike' if the loss is meant to jump."
            )
        start = max(self.bad_batch - self.config.patience, before.batch_of(to))
        end = self.batch_of(step) + 1
        self._pass_over(start, end)
        self.losses, self.norms = before.losses, before.norms
        self.rate *= self.config.lower_rate
        self.bad, self.trouble = 0, step
        self._note(
            step, "rolled back", why, batches=[start, end], to=to, rate=self.rate
        )

    def _pass_over(self, start: int, end: int) -> None:
        merged: list[tuple[int, int]] = []
        for first, last in sorted([*self.skipped, (start, end)]):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        self.skipped = merged

    def _spans(self) -> str:
        return ", ".join(f"{start} to {end - 1}" for start, end in self.skipped)

    def _note(self, step: int, event: str, why: str, **more: Any) -> None:
        self.events.append({"step": step + 1, "event": event, "why": why, **more})

    def state(self) -> dict[str, Any]:
        """Everything but the settings, for a checkpoint."""
        return {k: v for k, v in asdict(self).items() if k != "config"}

    @classmethod
    def from_state(cls, config: GuardConfig, state: dict[str, Any]) -> Self:
        """The guard that :meth:`state` was asked of."""
        spans = [(start, end) for start, end in state.get("skipped", [])]
        return cls(config, **{**state, "skipped": spans})


def sentence(event: Event) -> str:
    """An event of the diary as a line for the person who watches."""
    start, end = event["batches"]
    told = f"step {event['step']}: {event['why']}; "
    if end - start > 1:
        told += f"batches {start} to {end - 1} are passed over"
    else:
        told += f"batch {start} is passed over"
    if event["event"] == "rolled back":
        told += f", going on from the checkpoint of step {event['to']}"
        told += f" at {event['rate']:.3g} of the rate" if event["rate"] != 1 else ""
    return told


def _log(norm: float) -> float:
    return math.log(max(norm, 1e-30))
