"""Exercises, and a judge that rewards answers to them whatever a reward function does.

A reward that raises counts as zero, and the fault is noted; one that a program of the user's
computes runs in a process of its own, which is ended when it takes too long.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

import numpy as np

from hornbook.align.messages import Message
from hornbook.core.errors import UserError

LISTED = 20  # faults kept in words; all are counted
CHILD = Path(__file__).parent / "judge_child.py"
START = 60.0  # seconds that a user's file may take to be imported


class RewardError(Exception):
    """A reward that could not be computed; says why."""


@dataclass(frozen=True)
class Exercise:
    """A prompt and ``reward(answer)``, which says how good an answer to it is."""

    prompt: list[Message]
    reward: Callable[[str], float]


Judging = Callable[
    [Sequence[Exercise], Sequence[str]], tuple[np.ndarray, np.ndarray]
]  # rewards and which of them failed, both (answers,)


@dataclass
class Judge:
    """Rewards many answers. ``faults`` lists what went wrong, ``failed`` counts it.

    ``workers`` answers are judged at once; more than one only helps rewards that wait for
    other processes.
    """

    workers: int = 1
    faults: list[str] = field(default_factory=list)
    failed: int = 0

    def __call__(
        self, exercises: Sequence[Exercise], answers: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rewards and which of them failed, both (answers,) float32.

        Raises :class:`UserError` when none at all could be computed.
        """
        pairs = list(zip(exercises, answers, strict=True))
        if self.workers > 1:
            with ThreadPoolExecutor(self.workers) as pool:
                found = list(pool.map(_reward, pairs))
        else:
            found = [_reward(pair) for pair in pairs]
        faults = [fault for _, fault in found if fault]
        self.failed += len(faults)
        self.faults += faults[: LISTED - len(self.faults)]
        if faults and len(faults) == len(found):
            raise UserError(
                f"The reward function failed for all {len(found)} answers: {faults[0]}."
            )
        rewards = np.array([reward for reward, _ in found], np.float32)
        return rewards, np.array([bool(fault) for _, fault in found], np.float32)


def _reward(pair: tuple[Exercise, str]) -> tuple[float, str]:
    exercise, answer = pair
    try:
        reward = float(exercise.reward(answer))
    except RewardError as error:
        return 0.0, str(error)
    except Exception as error:
        return 0.0, f"it raised {type(error).__name__} ({error})"
    if not np.isfinite(reward):
        return 0.0, f"it gave {reward}, which is no finite number"
    return reward, ""


class OwnFunction:
    """A function of the user's, called in a process of its own with a limit of time.

    ``where`` is ``file.py:name``; it is called ``name(prompt, answer, record)`` with the
    last question, the answer and the exercise's own record, and gives a number. Raises
    :class:`UserError` where there is no such function.
    """

    def __init__(self, where: str, seconds: float) -> None:
        path, _, self.name = where.rpartition(":")
        self.path, self.seconds = Path(path).expanduser(), seconds
        if not self.path.is_file() or not self.name:
            raise UserError(
                f"'reward': {where} names no function; write it as file.py:name."
            )
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def __call__(self, prompt: str, answer: str, record: Any) -> float:
        """The reward. Raises :class:`RewardError` when it raises, hangs or gives nonsense."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        reply = self._ask({"prompt": prompt, "answer": answer, "record": record})
        if reply is None:
            raise RewardError(
                f"{self.name} took longer than {self.seconds:g} s or ended its process"
            )
        if "error" in reply:
            raise RewardError(f"{self.name} raised {reply['error']}")
        return reply["reward"]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        self.close()
        command = [sys.executable, "-B", str(CHILD), str(self.path), self.name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        ready = self._line(START)
        if ready is None or "error" in ready:
            why = (ready or {}).get("error", "it took too long, or ended")
            raise UserError(f"'reward': {self.path} can't be used: {why}.")

    def _ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._line(self.seconds)

    def _line(self, seconds: float) -> dict[str, Any] | None:
        """The child's next line; None, and the child's end, when none comes in time."""
        assert self._process is not None
        assert self._process.stdout is not None
        if select([self._process.stdout], [], [], seconds)[0]:
            line = self._process.stdout.readline()
            if line:
                return json.loads(line)
        self.close()
        return None
