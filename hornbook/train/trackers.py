"""The diary's numbers, sent on to TensorBoard or Weights & Biases as they come.

Both packages are optional and imported only when a recipe names them. What they hold is a
copy; the diary (metrics.py) is what the report and a resume read.
"""

import importlib.util
from pathlib import Path
from typing import Any, Protocol

from hornbook.core.errors import UserError
from hornbook.train.config import TrainConfig


class Tracker(Protocol):
    """Takes numbers and texts of a step."""

    def write(
        self, step: int, numbers: dict[str, float], texts: dict[str, str]
    ) -> None:
        """Take what was measured at ``step``."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class TensorBoard:
    """Event files below ``directory/tensorboard``, for `tensorboard --logdir`."""

    def __init__(self, directory: Path, label: str, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(
            str(directory / "tensorboard"), purge_step=done + 1 if done else None
        )

    def write(
        self, step: int, numbers: dict[str, float], texts: dict[str, str]
    ) -> None:
        """Take what was measured at ``step``."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        for name, text in texts.items():
            self._writer.add_text(name, text, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WeightsAndBiases:
    """One W&B run per training; `WANDB_MODE=offline` keeps it on this machine."""

    def __init__(self, directory: Path, label: str, done: int) -> None:
        import wandb  # type: ignore

        noted = directory / "wandb-run.txt"
        known = noted.read_text() if done and noted.exists() else None
        self._run = wandb.init(
            project="hornbook", name=label, id=known, resume="allow", dir=str(directory)
        )
        noted.write_text(self._run.id)

    def write(
        self, step: int, numbers: dict[str, float], texts: dict[str, str]
    ) -> None:
        """Take what was measured at ``step``."""
        self._run.log({**numbers, **texts}, step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


KINDS = {
    "tensorboard": (TensorBoard, "tensorboard"),
    "wandb": (WeightsAndBiases, "wandb"),
}


def open_trackers(
    config: TrainConfig, directory: Path, label: str, done: int
) -> list[Tracker]:
    """The trackers ``config`` names; :class:`UserError` for one that isn't installed."""
    opened: list[Tracker] = []
    for name in config.trackers:
        kind, package = KINDS[name]
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"'trackers' names {name}, and the package {package} is not installed; "
                "install it (`pip install hornbook[track]` has both), or leave it out."
            )
        opened.append(kind(directory, label, done))
    return opened


def split(record: dict[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """The numbers of a diary's record, and its samples and events as texts."""
    numbers = {
        key: float(value)
        for key, value in record.items()
        if isinstance(value, int | float) and key != "step"
    }
    texts = {}
    if "samples" in record:
        texts["samples"] = "\n\n".join(
            "    " + (s["prompt"] + s["text"]).replace("\n", "\n    ")
            for s in record["samples"]
        )
    if "event" in record:
        texts["guard"] = f"{record['event']}: {record['why']}"
        numbers = {}
    return numbers, texts
