"""Two models on the same questions: paired tests against exact enumeration, and the command."""

import itertools
import json
import math

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hornbook.cli import commands
from hornbook.core.errors import UserError
from hornbook.evaluate.compare import (
    compare,
    compare_records,
    items_needed,
    mcnemar,
    sign_flip,
)
from hornbook.evaluate.notes import Record


def notes(folder, task, verdicts, prompts="same", metric="acc"):
    folder.mkdir(exist_ok=True, parents=True)
    head = {"task": task, "identity": folder.name, "prompts": prompts}
    records = [Record(n, "x", {metric: float(v)}) for n, v in enumerate(verdicts)]
    lines = [msgspec.json.encode(one) for one in (head, *records)]
    (folder / f"{task}-0-shot.jsonl").write_bytes(b"\n".join([*lines, b""]))
    return folder


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_is_the_chance_under_a_fair_coin(only_a, only_b):
    n = only_a + only_b
    apart = abs(only_a - only_b)
    exact = sum(math.comb(n, k) for k in range(n + 1) if abs(n - 2 * k) >= apart) / 2**n
    assert mcnemar(only_a, only_b) == pytest.approx(exact if apart else 1.0)


def test_many_flips_give_nearly_the_exact_chance():
    n, fewer = 1200, 560
    exact = 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    assert mcnemar(fewer, n - fewer) == pytest.approx(exact, rel=0.02)


def test_random_signs_estimate_the_chance_over_all_signs():
    differences = np.array([0.3, -0.1, 0.8, 0.4, 0.2, -0.5, 0.9, 0.1, 0.35])
    total = abs(differences.sum())
    every = [
        abs(np.dot(signs, differences)) >= total - 1e-12
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    assert sign_flip(differences) == pytest.approx(np.mean(every), abs=0.015)


def test_no_difference_is_never_told_apart():
    assert items_needed(np.zeros(50)) is None
    assert mcnemar(0, 0) == 1.0
    assert sign_flip(np.zeros(50)) == 1.0


def test_with_the_items_it_asks_for_a_difference_shows():
    """As many of the same kind again put the interval's edge at 0."""
    differences = np.array([1.0] * 12 + [-1.0] * 8 + [0.0] * 80)
    more = items_needed(differences)
    assert more > 0
    times = (len(differences) + more) / len(differences)
    error = differences.std() / math.sqrt(len(differences) * times)
    assert differences.mean() == pytest.approx(1.96 * error, rel=0.01)


def test_flipped_items_are_named(tmp_path):
    a = notes(tmp_path / "a", "arc", [1, 1, 0, 0, 1])
    b = notes(tmp_path / "b", "arc", [1, 0, 1, 1, 1])
    (found,) = compare(a, b)
    assert (found.only_a, found.only_b) == ([1], [2, 3])
    assert (found.a, found.b, found.n) == (0.6, 0.8, 5)
    assert not found.separate
    assert found.more


def test_only_items_that_both_answered_count():
    a = {n: Record(n, "", {"acc": 1.0}) for n in range(10)}
    b = {n: Record(n, "", {"acc": 0.0}) for n in range(5, 20)}
    (found,) = compare_records("arc", a, b)
    assert found.n == 5
    assert found.only_a == [5, 6, 7, 8, 9]


def test_measures_that_are_no_verdicts_are_compared_too(tmp_path):
    dice = np.random.default_rng(0)
    ours = dice.normal(-100, 30, 40)
    a = notes(tmp_path / "a", "wiki", ours, metric="nats")
    b = notes(tmp_path / "b", "wiki", ours + dice.normal(2, 0.5, 40), metric="nats")
    (found,) = compare(a, b)
    assert found.separate
    assert found.ci95[0] < 2 < found.ci95[1] + 0.2
    assert (found.only_a, found.more) == ([], 0)


def test_other_questions_are_refused(tmp_path):
    a = notes(tmp_path / "a", "arc", [1, 0])
    with pytest.raises(UserError, match="different questions"):
        compare(a, notes(tmp_path / "b", "arc", [1, 0], prompts="others"))
    with pytest.raises(UserError, match="no task in common"):
        compare(a, notes(tmp_path / "c", "piqa", [1, 0]))


def test_a_damaged_record_is_named(tmp_path):
    a = notes(tmp_path / "a", "arc", [1, 0])
    b = notes(tmp_path / "b", "arc", [1, 0])
    file = b / "arc-0-shot.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"b/arc-0-shot\.jsonl"):
        compare(a, b)


def test_the_command_shows_and_tells_programs(tmp_path):
    for name, verdicts in (("a", [1] * 30 + [0] * 10), ("b", [0] * 25 + [1] * 15)):
        folder = notes(tmp_path / name / "benchmarks" / "f00d", "arc", verdicts)
        (folder / "results.json").write_text("{}")
    places = [str(tmp_path / "a"), str(tmp_path / "b")]
    shown = CliRunner().invoke(commands, ["compare", *places])
    assert shown.exit_code == 0, shown.output
    assert "A is higher" in " ".join(shown.output.split())
    told = CliRunner().invoke(commands, ["compare", *places, "--json"])
    (one,) = json.loads(told.output)
    assert one["separate"]
    assert len(one["only_a"]) == 25


def test_a_run_that_was_not_evaluated_is_named(tmp_path):
    result = CliRunner().invoke(commands, ["compare", str(tmp_path), str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert "not evaluated yet" in str(result.exception)
