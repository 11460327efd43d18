"""The loop's promises, on a model small enough to train in a blink."""

from dataclasses import replace

import msgspec
import pytest
import torch

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.train import checkpoint
from hornbook.train.metrics import read_metrics


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("cut", [0, 3, 4, 7, 11])
def test_a_run_cut_off_and_started_again_ends_in_the_same_weights(
    small, tmp_path, optimizer, cut
):
    config = msgspec.structs.replace(small.config, optimizer=optimizer)
    whole = small.run(tmp_path / "whole", config)
    with pytest.raises(small.Stop):
        small.run(tmp_path / "cut", config, small.stop_at(cut))
    resumed = small.run(tmp_path / "cut", config)
    assert small.digest(resumed) == small.digest(whole)
    steps = [r["step"] for r in read_metrics(tmp_path / "cut" / "metrics.jsonl")]
    assert steps == list(range(1, 13))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(small, tmp_path):
    whole = small.run(tmp_path / "whole")
    with pytest.raises(small.Stop):
        small.run(tmp_path / "cut", batches=small.stop_at(10))
    newest = checkpoint.latest(tmp_path / "cut")
    assert newest.name == "step-00000008"
    weights = bytearray((newest / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (newest / "model.safetensors").write_bytes(weights)
    assert checkpoint.latest(tmp_path / "cut").name == "step-00000004"
    assert small.digest(small.run(tmp_path / "cut")) == small.digest(whole)


def test_micro_batches_add_up_to_the_whole_batch(small, tmp_path):
    no_dropout = [small.Model(), small.Model()]
    for model in no_dropout:
        model.drop.p = 0.0
    config = msgspec.structs.replace(small.config, steps=1)
    small.run(tmp_path / "a", config, model=no_dropout[0])
    small.run(
        tmp_path / "b",
        msgspec.structs.replace(config, micro_batch=3),
        model=no_dropout[1],
    )
    for one, other in zip(*(m.parameters() for m in no_dropout), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_training_learns(small, tmp_path):
    small.run(tmp_path / "a", msgspec.structs.replace(small.config, steps=150))
    losses = [r["loss"] for r in read_metrics(tmp_path / "a" / "metrics.jsonl")]
    assert losses[0] > 2.5
    assert losses[-1] < 0.5 * losses[0]


def test_a_loss_that_is_no_number_ends_in_one_sentence(small, tmp_path):
    def poisoned(step):
        batch = small.batches(step)
        return (
            replace(batch, targets=torch.full_like(batch.targets, IGNORE))
            if step
            else batch
        )

    with pytest.raises(UserError, match="the loss is no longer a number, and 3 roll"):
        small.run(tmp_path / "a", batches=poisoned)


def test_saving_comes_before_validation_so_that_a_failure_there_loses_nothing(
    small, tmp_path
):
    def fail():
        raise small.Stop

    with pytest.raises(small.Stop):
        small.run(tmp_path / "a", validate=fail)
    assert checkpoint.latest(tmp_path / "a").name == "step-00000012"


def test_validation_and_samples_stand_in_the_diary(small, tmp_path):
    config = msgspec.structs.replace(small.config, validate_every=5, sample_every=6)
    small.run(
        tmp_path / "a",
        config,
        validate=lambda: {"validation_loss": 1.5},
        sample=lambda: [{"prompt": "a", "text": "b"}],
    )
    records = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert [r["step"] for r in records if "validation_loss" in r] == [5, 10, 12]
    assert [r["step"] for r in records if "samples" in r] == [6, 12]


def test_only_the_newest_checkpoints_are_kept(small, tmp_path):
    guard = msgspec.structs.replace(small.config.guard, clean_after=0)
    small.run(tmp_path / "a", msgspec.structs.replace(small.config, guard=guard))
    kept = [p.name[-2:] for p in checkpoint.checkpoints(tmp_path / "a")]
    assert kept == ["08", "12"]
