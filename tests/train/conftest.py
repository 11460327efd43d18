"""A model small enough to train in a blink, and ways to disturb its training."""

import hashlib
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from hornbook.data.batch import IGNORE, Batch
from hornbook.train.backend import choose_backend
from hornbook.train.config import TrainConfig
from hornbook.train.loop import Hooks, train
from hornbook.train.objective import next_token

CONFIG = TrainConfig(
    steps=12,
    batch=8,
    checkpoint_every=4,
    precision="float32",
    compile="no",
    learning_rate=0.01,
)


class Bigram(nn.Module):
    """Predicts the next token from the last, through two matrices and dropout."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(16, 12)
        self.middle = nn.Linear(12, 12, bias=False)
        self.scale = nn.Parameter(torch.ones(12))
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(12, 16, bias=False)

    def forward(self, tokens, segments=None):
        x = self.embed(tokens)
        return self.head(self.drop(x + self.middle(x) * self.scale))


def batches(step: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    tokens = torch.randint(16, (8, 5), generator=generator)
    targets = (tokens * 3 + 1) % 16
    targets[: step % 4, 0] = IGNORE
    return Batch(tokens, targets)


def run(directory, config=CONFIG, batches=batches, model=None, **hooks):
    model = model or Bigram()
    files = {
        "write_model": lambda m, d: save_model(m, str(d / "model.safetensors")),
        "read_model": lambda d: load_model(model, str(d / "model.safetensors")),
    }
    hooks = Hooks(**{**files, **hooks})
    directory.mkdir(exist_ok=True)
    backend = choose_backend(config, "cpu")
    return train(
        model,
        next_token,
        batches,
        config,
        directory,
        hooks,
        backend=backend,
        seed=1,
        label="t",
    )


def digest(path):
    return hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()


class Stop(BaseException):
    """Stands for a kill: nothing in the project catches it."""


def stop_at(when):
    def source(step):
        if step == when:
            raise Stop
        return batches(step)

    return source


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """What the tests of this folder share."""
    return SimpleNamespace(
        config=CONFIG,
        Model=Bigram,
        batches=batches,
        run=run,
        digest=digest,
        Stop=Stop,
        stop_at=stop_at,
    )
