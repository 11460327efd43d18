"""The loop's promises, on a model small enough to train in a blink."""

import hashlib
from dataclasses import replace

import msgspec
import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE, Batch
from hornbook.train import checkpoint
from hornbook.train.backend import choose_backend
from hornbook.train.config import TrainConfig
from hornbook.train.loop import Hooks, train
from hornbook.train.metrics import read_metrics
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
    hooks = Hooks(
        write_model=lambda d: save_model(model, str(d / "model.safetensors")),
        read_model=lambda d: load_model(model, str(d / "model.safetensors")),
        **hooks,
    )
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


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("cut", [0, 3, 4, 7, 11])
def test_a_run_cut_off_and_started_again_ends_in_the_same_weights(
    tmp_path, optimizer, cut
):
    config = msgspec.structs.replace(CONFIG, optimizer=optimizer)
    whole = run(tmp_path / "whole", config)
    with pytest.raises(Stop):
        run(tmp_path / "cut", config, stop_at(cut))
    resumed = run(tmp_path / "cut", config)
    assert digest(resumed) == digest(whole)
    steps = [r["step"] for r in read_metrics(tmp_path / "cut" / "metrics.jsonl")]
    assert steps == list(range(1, 13))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(Stop):
        run(tmp_path / "cut", batches=stop_at(10))
    newest = checkpoint.latest(tmp_path / "cut")
    assert newest.name == "step-00000008"
    weights = bytearray((newest / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (newest / "model.safetensors").write_bytes(weights)
    assert checkpoint.latest(tmp_path / "cut").name == "step-00000004"
    assert digest(run(tmp_path / "cut")) == digest(whole)


def test_micro_batches_add_up_to_the_whole_batch(tmp_path):
    no_dropout = [Bigram(), Bigram()]
    for model in no_dropout:
        model.drop.p = 0.0
    config = msgspec.structs.replace(CONFIG, steps=1)
    run(tmp_path / "a", config, model=no_dropout[0])
    run(
        tmp_path / "b",
        msgspec.structs.replace(config, micro_batch=3),
        model=no_dropout[1],
    )
    for one, other in zip(*(m.parameters() for m in no_dropout), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_training_learns(tmp_path):
    run(tmp_path / "a", msgspec.structs.replace(CONFIG, steps=150))
    losses = [r["loss"] for r in read_metrics(tmp_path / "a" / "metrics.jsonl")]
    assert losses[0] > 2.5
    assert losses[-1] < 0.5 * losses[0]


def test_a_loss_that_is_no_number_ends_in_one_sentence(tmp_path):
    def poisoned(step):
        batch = batches(step)
        return (
            replace(batch, targets=torch.full_like(batch.targets, IGNORE))
            if step
            else batch
        )

    with pytest.raises(UserError, match="no longer a number at step 1"):
        run(tmp_path / "a", batches=poisoned)


def test_saving_comes_before_validation_so_that_a_failure_there_loses_nothing(tmp_path):
    def fail():
        raise Stop

    with pytest.raises(Stop):
        run(tmp_path / "a", validate=fail)
    assert checkpoint.latest(tmp_path / "a").name == "step-00000012"


def test_validation_and_samples_stand_in_the_diary(tmp_path):
    config = msgspec.structs.replace(CONFIG, validate_every=5, sample_every=6)
    run(
        tmp_path / "a",
        config,
        validate=lambda: {"validation_loss": 1.5},
        sample=lambda: [{"prompt": "a", "text": "b"}],
    )
    records = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert [r["step"] for r in records if "validation_loss" in r] == [5, 10, 12]
    assert [r["step"] for r in records if "samples" in r] == [6, 12]


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    run(tmp_path / "a")
    assert len(checkpoint.checkpoints(tmp_path / "a")) == checkpoint.KEEP
