"""The guard passes over poison, goes back when the weights are bad, and gives up in the end."""

import math
from dataclasses import replace

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.train import checkpoint
from hornbook.train.config import GuardConfig
from hornbook.train.guard import Guard, sentence
from hornbook.train.metrics import read_metrics


def config(small, steps=60, **guard):
    changes = {"clean_after": 5, **guard}
    return msgspec.structs.replace(
        small.config,
        steps=steps,
        checkpoint_every=10,
        learning_rate=0.01,
        guard=msgspec.structs.replace(GuardConfig(), **changes),
    )


def easy(small):
    """A source whose loss is nearly the same from step to step."""

    def source(step):
        batch = small.batches(step)
        return replace(batch, targets=batch.tokens)

    return source


def poisoned(small, *bad, how="nan"):
    """``easy`` with some bad batches: without any target, or with senseless ones."""

    def source(step):
        batch = easy(small)(step)
        if step not in bad:
            return batch
        if how == "nan":
            return replace(batch, targets=torch.full_like(batch.targets, IGNORE))
        return replace(batch, targets=(batch.targets + 7) % 16)

    return source


def events(directory):
    return [r for r in read_metrics(directory / "metrics.jsonl") if "event" in r]


def steps(directory):
    records = read_metrics(directory / "metrics.jsonl")
    return [r["step"] for r in records if "loss" in r]


@pytest.mark.parametrize("how", ["nan", "spike"])
def test_a_poisoned_batch_is_passed_over_and_leaves_no_trace_in_the_weights(
    small, tmp_path, how
):
    got = small.run(tmp_path / "a", config(small), poisoned(small, 41, how=how))

    def without(step):  # the same data had the batch never been there
        return easy(small)(step if step < 41 else step + 1)

    expected = small.run(tmp_path / "b", config(small), without)
    assert small.digest(got) == small.digest(expected)
    (event,) = events(tmp_path / "a")
    assert (event["step"], event["event"]) == (42, "skipped")
    assert event["batches"] == [41, 42]
    assert steps(tmp_path / "a") == list(range(1, 61))


def test_weights_that_become_nan_are_rolled_back_to_a_checkpoint_known_clean(
    small, tmp_path
):
    model, planted = small.Model(), []

    def source(step):
        if step == 37 and not planted:
            planted.append(step)
            with torch.no_grad():
                model.middle.weight[3, 4] = float("nan")
        return easy(small)(step)

    small.run(tmp_path / "a", config(small), source, model=model)
    assert all(p.isfinite().all() for p in model.parameters())
    skipped, again, back = events(tmp_path / "a")
    assert [e["event"] for e in (skipped, again, back)] == ["skipped"] * 2 + [
        "rolled back"
    ]
    assert back["to"] == 30  # 37 - clean_after: the one of step 30 had 7 healthy steps
    assert back["batches"] == [34, 40]
    assert "gradient" in back["why"] or "loss" in back["why"]
    assert steps(tmp_path / "a") == list(range(1, 61))


def test_an_alarm_in_matters_of_its_own_takes_a_run_back_as_well(small, tmp_path):
    """Three alarms in a row: two batches are passed over, then a clean checkpoint."""
    seen = []

    def alarm(numbers):
        seen.append(numbers)
        return "it has only one thing left to say" if len(seen) in (42, 43, 44) else ""

    small.run(tmp_path / "a", config(small), easy(small), alarm=alarm)
    skipped, again, back = events(tmp_path / "a")
    assert [e["event"] for e in (skipped, again)] == ["skipped"] * 2
    assert (back["event"], back["to"]) == ("rolled back", 30)
    assert "only one thing left" in back["why"]
    assert steps(tmp_path / "a") == list(range(1, 61))


def test_a_checkpoint_too_fresh_to_be_known_clean_is_not_gone_back_to(small, tmp_path):
    source = poisoned(small, 32, 33, 34)
    small.run(tmp_path / "a", config(small), source)
    assert events(tmp_path / "a")[-1]["to"] == 20


def test_damage_that_shows_only_when_saving_is_rolled_back_and_never_published(
    small, tmp_path
):
    """A weight that no batch reaches: neither loss nor gradient would ever tell."""
    model, planted = small.Model(), []

    def source(step):
        batch = easy(small)(step)
        if step == 39 and not planted:
            planted.append(step)
            with torch.no_grad():
                model.embed.weight[15, 0] = float("inf")
        return replace(batch, tokens=batch.tokens % 15, targets=batch.tokens % 15)

    small.run(tmp_path / "a", config(small), source, model=model)
    assert all(p.isfinite().all() for p in model.parameters())
    assert "'embed.weight'" in events(tmp_path / "a")[-1]["why"]


def test_a_bit_flipped_in_a_checkpoint_is_found_when_going_back(small, tmp_path):
    source = poisoned(small, 45, 46, 47)

    def flip_then(step):
        if step == 45:
            path = tmp_path / "a" / "step-00000040" / "model.safetensors"
            if path.exists():
                data = bytearray(path.read_bytes())
                data[-9] ^= 1
                path.write_bytes(data)
        return source(step)

    at_once = msgspec.structs.replace(config(small), background=False)
    small.run(tmp_path / "a", at_once, flip_then)
    assert events(tmp_path / "a")[-1]["to"] == 30
    small.run(tmp_path / "b", at_once, source)
    assert events(tmp_path / "b")[-1]["to"] == 40


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("cut", [5, 39, 44, 48, 51, 59])
def test_killed_around_a_rollback_and_started_again_ends_in_the_same_weights(
    small, tmp_path, optimizer, cut
):
    wanted = msgspec.structs.replace(config(small), optimizer=optimizer)
    source = poisoned(small, 21, 45, 46, 47)
    whole = small.run(tmp_path / "whole", wanted, source)
    asked = []

    def dies(batch):
        asked.append(batch)
        if batch == cut:
            raise small.Stop
        return source(batch)

    with pytest.raises(small.Stop):
        small.run(tmp_path / "cut", wanted, dies)
    resumed = small.run(tmp_path / "cut", wanted, source)
    assert small.digest(resumed) == small.digest(whole)
    assert events(tmp_path / "cut") == events(tmp_path / "whole")
    assert steps(tmp_path / "cut") == list(range(1, 61))


def test_it_gives_up_with_a_sentence_after_going_back_in_vain(small, tmp_path, capsys):
    bad = range(30, 200)
    with pytest.raises(UserError, match="2 rollbacks in a row didn't help") as caught:
        small.run(tmp_path / "a", config(small, give_up=2), poisoned(small, *bad))
    assert "\n" not in str(caught.value)
    assert [e["event"] for e in events(tmp_path / "a")].count("rolled back") == 2
    assert checkpoint.latest(tmp_path / "a").name == "step-00000020"
    assert "going on from the checkpoint of step 20" in capsys.readouterr().err.replace(
        "\n", " "
    )


def test_the_rate_is_lowered_when_that_was_asked_for(small, tmp_path):
    wanted = config(small, lower_rate=0.5)
    small.run(tmp_path / "a", wanted, poisoned(small, 45, 46, 47))
    plain = config(small)
    small.run(tmp_path / "b", plain, poisoned(small, 45, 46, 47))
    rates = [
        [r["rate"] for r in read_metrics(tmp_path / d / "metrics.jsonl") if "rate" in r]
        for d in ("a", "b")
    ]
    last = [each[-1] for each in rates]
    assert last[0] == pytest.approx(last[1] / 2)


def test_switched_off_it_stops_at_the_first_bad_number(small, tmp_path):
    with pytest.raises(UserError, match="At step 12 the loss is no longer a number"):
        small.run(tmp_path / "a", config(small, enabled=False), poisoned(small, 11))


def test_without_a_checkpoint_to_go_back_to_it_says_so(small, tmp_path):
    wanted = msgspec.structs.replace(config(small), checkpoint_every=0)
    with pytest.raises(UserError, match="set 'checkpoint_every'"):
        small.run(tmp_path / "a", wanted, poisoned(small, 30, 31, 32))


# ---------------------------------------------------------------------- the guard by itself


def used_to(losses, norms=None, **changes):
    guard = Guard(GuardConfig(**changes))
    for step, loss in enumerate(losses):
        guard.healthy(step, loss, norms[step] if norms else 1.0)
    return guard


def test_a_spike_is_judged_against_what_is_usual_not_against_other_spikes():
    noisy = [3.0 + 0.1 * math.sin(7 * n) for n in range(100)]
    guard = used_to([*noisy[:95], *[40.0] * 5])
    assert guard.judge(3.3, 1.0) == ""
    assert guard.judge(5.0, 1.0).startswith("the loss is 5")
    assert guard.judge(0.1, 1.0) == ""
    assert guard.judge(3.0, 9.0) == ""
    assert guard.judge(3.0, 50.0).startswith("the gradient norm is 50")
    for broken in (math.nan, math.inf):
        assert "no longer a number" in guard.judge(broken, 1.0)
        assert "no longer a number" in guard.judge(3.0, broken)


def test_nothing_is_called_unusual_before_enough_was_seen():
    assert used_to([3.0] * 19).judge(1000.0, 1000.0) == ""
    assert used_to([3.0] * 20).judge(1000.0, 1.0) != ""


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), max_size=12))
def test_skipped_spans_leave_every_other_batch_in_its_order(spans):
    guard = Guard(GuardConfig())
    for start, length in spans:
        guard._pass_over(start, start + length)
    gone = {n for start, length in spans for n in range(start, start + length)}
    left = [n for n in range(200) if n not in gone]
    assert [guard.batch_of(step) for step in range(100)] == left[:100]


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=150))
def test_its_state_survives_json(losses):
    guard = used_to(losses)
    guard.bad_step = 7
    guard.strike(9, "for a test")
    state = msgspec.json.decode(msgspec.json.encode(guard.state()))
    again = Guard.from_state(guard.config, state)
    assert again == guard
    assert "batch 9 is passed over" in sentence(again.events[0])
