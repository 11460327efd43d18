"""What goes to TensorBoard is what the diary holds; a tracker that isn't there is named."""

import importlib.util

import msgspec
import pytest

from hornbook.core.errors import UserError
from hornbook.train.metrics import read_metrics
from hornbook.train.trackers import split


def test_a_tracker_that_is_not_installed_is_named_with_the_way_out(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("tensorboard", "wandb"):
        config = msgspec.structs.replace(small.config, trackers=(name,))
        with pytest.raises(UserError, match=f"the package {name} is not installed"):
            small.run(tmp_path / name, config)


def test_numbers_samples_and_events_are_told_apart():
    assert split({"step": 3, "loss": 1.5}) == ({"loss": 1.5}, {})
    _, texts = split({"step": 3, "samples": [{"prompt": "a", "text": "b\nc"}]})
    assert texts == {"samples": "    ab\n    c"}
    event = {"step": 3, "event": "skipped", "why": "of a spike", "batches": [2, 3]}
    assert split(event) == ({}, {"guard": "skipped: of a spike"})


def test_tensorboard_reads_back_the_diary_and_a_resume_leaves_no_doubles(
    small, tmp_path
):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="the optional package tensorboard is not installed",
    )
    config = msgspec.structs.replace(small.config, trackers=("tensorboard",))
    with pytest.raises(small.Stop):
        small.run(tmp_path / "a", config, small.stop_at(7))
    small.run(tmp_path / "a", config, sample=lambda: [{"prompt": "a", "text": "b"}])
    events = reader.EventAccumulator(str(tmp_path / "a" / "tensorboard")).Reload()
    shown = [(e.step, pytest.approx(e.value)) for e in events.Scalars("loss")]
    diary = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert [(r["step"], r["loss"]) for r in diary if "loss" in r] == shown


def test_wandb_takes_the_numbers_offline(small, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the optional package wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = msgspec.structs.replace(small.config, trackers=("wandb",))
    small.run(tmp_path / "a", config)
    assert list((tmp_path / "a" / "wandb").glob("offline-run-*"))
