"""How well a policy solves exercises it has not learned from, before and after."""

from collections.abc import Callable, Sequence

import numpy as np

from hornbook.align.judge import Exercise, Judging
from hornbook.align.writing import Writer, fitting
from hornbook.core.errors import UserError
from hornbook.evaluate.intervals import bootstrap
from hornbook.evaluate.results import Result
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer

SEED = 20_260  # of the answers that are judged; training never uses it
SOLVED = 1.0 - 1e-6  # a full reward


class Examination:
    """The same held-out exercises, asked ``samples`` times each with the same random numbers.

    Empty when none of them leaves room for an answer; ``rewards`` then is, too.
    """

    def __init__(
        self,
        exercises: Sequence[Exercise],
        tokenizer: Tokenizer,
        context_length: int,
        max_tokens: int,
        limit: int,
        judge: Judging,
        samples: int = 1,
    ) -> None:
        try:
            self.pairs = fitting(tokenizer, exercises, context_length, max_tokens)
        except UserError:
            self.pairs = []
        self.pairs = self.pairs[:limit]
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        self.judge, self.samples = judge, samples

    def __len__(self) -> int:
        return len(self.pairs)

    def rewards(self, model: Transformer) -> np.ndarray:
        """What ``model`` is rewarded with, (exercises, samples)."""
        asked = [pair for pair in self.pairs for _ in range(self.samples)]
        writer = Writer(model, self.tokenizer, self.max_tokens)
        written = writer([ids for _, ids in asked], SEED)
        rewards, _ = self.judge([e for e, _ in asked], written.texts)
        return rewards.reshape(-1, self.samples)

    def numbers(self, model: Transformer) -> Callable[[], dict[str, float]]:
        """What validation says of ``model`` as it is by then."""

        def validate() -> dict[str, float]:
            rewards = self.rewards(model)
            return {
                "validation_reward": float(rewards.mean()),
                "validation_solved": float((rewards >= SOLVED).mean()),
            }

        return validate


def solved_results(before: np.ndarray, after: np.ndarray, task: str) -> list[Result]:
    """The share solved and the mean reward, each with its value before; and the gains.

    before, after  (exercises, samples) rewards of answers to the same exercises

    Intervals resample exercises; those of the gains take each exercise's two results
    together.
    """
    if not before.size:
        return []
    solved = [(r >= SOLVED).mean(1) for r in (before, after)]
    means = [r.mean(1).astype(float) for r in (before, after)]
    found: list[Result] = []
    for metric, (first, last) in (("share solved", solved), ("reward", means)):
        found.append(_result(task, metric, last, {"before": float(first.mean())}))
        found.append(_result(task, f"gain in {metric}", last - first, {}))
    return found


def _result(
    task: str, metric: str, values: np.ndarray, baselines: dict[str, float]
) -> Result:
    return {
        "task": task,
        "metric": metric,
        "value": float(values.mean()),
        "n": len(values),
        "ci95": [float(end) for end in bootstrap(values)],
        "higher_is_better": True,
        "baselines": baselines,
    }
