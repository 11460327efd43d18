"""Small models of bytes, trained by the real loop: what several chapters measure with.

The text is the source of a few modules of Python's standard library; others are held out.
"""

import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch

from hornbook.data.batch import Batch
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.train.backend import choose_backend
from hornbook.train.config import TrainConfig
from hornbook.train.loop import prepare
from hornbook.train.objective import next_token
from hornbook.train.step import Trainer

READ = ("argparse", "inspect", "typing", "tarfile", "subprocess", "datetime", "pathlib")
HELD_OUT = ("zipfile", "optparse", "configparser")
TIME, ROWS = 64, 8
SHAPE = ModelConfig(
    n_layers=2, d_model=64, n_heads=2, n_kv_heads=2, context_length=TIME, vocab_size=256
)
TRAIN = TrainConfig(steps=100, batch=ROWS, precision="float32", compile="no")


@cache
def text(modules: tuple[str, ...]) -> torch.Tensor:
    """The bytes of the modules' sources, one after the other."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = [folder / f"{name}.py" for name in modules]
    data = b"".join(path.read_bytes() for path in found if path.exists())
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).long()


def batch(n: int, rows: int = ROWS, modules: tuple[str, ...] = READ) -> Batch:
    """The n-th batch: rows from random places. A pure function of ``n``, as the loop asks."""
    data = text(modules)
    dice = torch.Generator().manual_seed(n)
    starts = torch.randint(len(data) - TIME - 1, (rows,), generator=dice)
    spans = data[starts[:, None] + torch.arange(TIME + 1)]
    return Batch(spans[:, :-1], spans[:, 1:])


def trainer(train: TrainConfig, shape: ModelConfig = SHAPE, seed: int = 1) -> Trainer:
    """A new model and everything that trains it."""
    torch.manual_seed(seed)
    model = Transformer(shape)
    return prepare(model, next_token, train, choose_backend(train, "cpu"), seed)


def run(
    made: Trainer, batches: Callable[[int], Batch] = batch, every: int = 0
) -> dict[str, Any]:
    """Train to the end: the losses, and the held-out loss at the end and ``every`` so often."""
    losses, held = [], []
    for step in range(made.config.steps):
        record, wrong = made.step(step, batches(step))
        if wrong and "usual" not in wrong:
            break
        losses.append(record["loss"])
        if every and (step + 1) % every == 0:
            held.append((step + 1, held_out(made.model)))
    return {"losses": losses, "held": held, "loss": held_out(made.model)}


@torch.no_grad()
def held_out(model: torch.nn.Module, rows: int = 64) -> float:
    """Nats per byte of the modules that were not trained on."""
    given = batch(999, rows, HELD_OUT)
    return float(next_token(model, given).total / given.weight)


def watched(model: Transformer) -> list[float]:
    """A list that the next forward pass fills: the stream's size after every block."""
    sizes: list[float] = []

    def note(_module: Any, _inputs: Any, out: torch.Tensor) -> None:
        sizes.append(out.detach().square().mean().sqrt().item())

    for block in model.blocks:
        block.register_forward_hook(note)
    return sizes


def changed(settings: Any, **keys: Any) -> Any:
    """The settings with some keys changed."""
    return msgspec.structs.replace(settings, **keys)


def smooth(losses: list[float], width: int = 5) -> list[tuple[int, float]]:
    """Means of ``width`` steps, each with the step in its middle."""
    return [
        (k + width // 2 + 1, sum(losses[k : k + width]) / width)
        for k in range(0, len(losses) - width + 1, width)
    ]
