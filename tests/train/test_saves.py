"""Checkpoints: written beside training, whole or not at all, and kept as long as asked."""

import errno
import os
import threading

import msgspec
import pytest
import torch
from safetensors.torch import save_model
from torch import nn

from hornbook.core import files
from hornbook.train import checkpoint, saves
from hornbook.train.config import GuardConfig, TrainConfig


def config(small, **changes):
    guard = GuardConfig(clean_after=0)
    return msgspec.structs.replace(small.config, guard=guard, **changes)


def test_written_in_the_background_or_not_a_checkpoint_is_the_same(small, tmp_path):
    for name, background in (("a", True), ("b", False)):
        small.run(tmp_path / name, config(small, keep_last=9, background=background))
    ours = sorted((tmp_path / "a").glob("step-*/*"))
    assert len(ours) == 4 * 4
    for path in ours:
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes(), path


def test_a_checkpoint_holds_the_state_when_it_was_asked_for_not_when_it_was_written(
    small, tmp_path
):
    """The thread is held back until training has gone on by two steps."""
    released, written = threading.Event(), []
    expected = small.run(tmp_path / "plain", config(small, steps=4))

    def source(step):
        if step == 6:
            released.set()
        return small.batches(step)

    def write(model, directory):
        if directory.name.startswith("step-00000004"):
            assert released.wait(30)
        save_model(model, str(directory / "model.safetensors"))
        written.append(directory.name)

    small.run(
        tmp_path / "a",
        config(small, keep_last=9, decay=0.0, schedule="wsd", warmup=0.0),
        source,
        write_model=write,
    )
    small.run(
        tmp_path / "b",
        config(small, keep_last=9, decay=0.0, schedule="wsd", warmup=0.0),
    )
    for step in ("step-00000004", "step-00000008"):
        assert small.digest(tmp_path / "a" / step) == small.digest(
            tmp_path / "b" / step
        )
    assert expected.name == "step-00000004"


def test_validation_waits_until_what_came_before_is_safe_on_the_disk(small, tmp_path):
    def validate():
        newest = checkpoint.latest(tmp_path / "a")
        assert newest is not None
        seen.append(newest.name[-2:])
        return {"validation_loss": 1.0}

    seen = []
    small.run(tmp_path / "a", config(small, validate_every=4), validate=validate)
    assert seen == ["04", "08", "12"]


def test_a_disk_that_fills_up_while_writing_in_the_background_stops_the_run(
    small, tmp_path, monkeypatch
):
    sync = files.sync

    def full(path):
        if "step-00000008" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        sync(path)

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(OSError) as caught:
        small.run(tmp_path / "a", config(small))
    assert caught.value.errno == errno.ENOSPC
    assert checkpoint.latest(tmp_path / "a").name == "step-00000004"
    monkeypatch.undo()
    whole = small.run(tmp_path / "whole", config(small))
    assert small.digest(small.run(tmp_path / "a", config(small))) == small.digest(whole)


def test_the_last_every_nth_and_the_best_are_kept(small, tmp_path):
    losses = iter([3.0, 1.0, 2.0, 2.5, 2.4, 2.6])
    small.run(
        tmp_path / "a",
        config(
            small,
            checkpoint_every=2,
            validate_every=2,
            keep_last=1,
            keep_every=6,
            keep_best=True,
        ),
        validate=lambda: {"validation_loss": next(losses)},
    )
    kept = [int(p.name[-2:]) for p in checkpoint.checkpoints(tmp_path / "a")]
    assert kept == [4, 6, 12]


def test_the_newest_one_known_clean_is_always_kept():
    wanted = TrainConfig(steps=100, keep_last=1, guard=GuardConfig(clean_after=25))
    assert saves.kept([0, 10], wanted, None) == {0, 10}
    assert saves.kept([0, 10, 20, 30, 40, 50], wanted, None) == {20, 50}


def test_a_copy_on_the_host_is_left_alone_by_later_steps_and_keeps_ties():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    copied = saves.host_copy(model)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.add_(1)
    for name, tensor in copied.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert copied[2].weight is copied[0].weight


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: (p / "optimizer.safetensors").unlink(), "optimizer.safetensors is missing"),
        (lambda p: (p / "trainer.json").write_text("{}"), "trainer.json is damaged"),
        (lambda p: (p / "training.json").write_text('{"step": 4'), "training.json is"),
        (lambda p: (p / "training.json").unlink(), "training.json is missing"),
        (
            lambda p: (p / "training.json").write_text('{"step": 3, "files": {}}'),
            "of another step",
        ),
        (
            lambda p: (p / "model.safetensors").write_bytes(
                (p / "model.safetensors").read_bytes()[:-100]
            ),
            "model.safetensors is damaged",
        ),
    ],
)  # fmt: skip
def test_a_half_written_or_corrupted_checkpoint_is_named_and_not_trusted(
    small, tmp_path, harm, said
):
    path = small.run(tmp_path / "a", config(small, steps=4))
    assert checkpoint.damage(path) == []
    harm(path)
    assert said in " ".join(
        f"{p.name} {problem}" for p, problem in checkpoint.damage(path)
    )
    assert checkpoint.latest(tmp_path / "a").name == "step-00000000"
