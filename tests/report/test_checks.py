"""The standard checks: each one passes on the fake run and fails when its fact turns bad."""

import math

import msgspec
import pytest

from hornbook.report.checks import standard_checks
from hornbook.report.facts import Facts, Run, to_facts


def outcome(table):
    return {check.id: check.ok for check in standard_checks(to_facts(table))}


def test_a_healthy_run_passes_every_check(fake_facts):
    results = outcome(fake_facts)
    assert len(results) == 10
    assert all(results.values())


def test_a_run_without_facts_is_not_judged():
    assert standard_checks(Facts(Run("empty"))) == []


def spoil_first_loss(t):
    t["series"]["pretrain/loss"]["pts"][0] = (0, 12.0)


def spoil_references(t):
    t["training"]["references"] = {"frequencies only": 1.0}


def spoil_end(t):
    t["series"]["pretrain/validation"]["pts"].append((2100, 2.9))


def spoil_generalisation(t):
    t["series"]["pretrain/validation"]["pts"][-1] = (2000, 2.95)


def spoil_passes(t):
    t["training"]["train_tokens"] = 1_000_000


def spoil_gradient(t):
    t["series"]["pretrain/gradient_norm"]["pts"][1500] = (1500, 40.0)


def spoil_finite(t):
    t["series"]["sft/loss"]["pts"][10] = (10, math.nan)


def spoil_compressors(t):
    t["evals"][0]["baselines"]["7-gram of bytes"] = 1.2


def spoil_preferences(t):
    t["series"]["dpo/accuracy"]["pts"][-1] = (150, 0.41)


def spoil_funnel(t):
    t["funnel"][2]["reasons"]["too short"]["documents"] += 1


def spoil_funnel_gap(t):
    t["funnel"][3]["documents_in"] -= 1


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (spoil_first_loss, "first loss"),
        (spoil_references, "references"),
        (spoil_end, "ended at its best"),
        (spoil_generalisation, "generalisation"),
        (spoil_passes, "passes"),
        (spoil_gradient, "gradient"),
        (spoil_finite, "finite"),
        (spoil_compressors, "compressors"),
        (spoil_preferences, "preferences"),
        (spoil_funnel, "funnel"),
        (spoil_funnel_gap, "funnel"),
    ],
)
def test_a_bad_fact_fails_its_check(fake_facts, spoil, check):
    spoil(fake_facts)
    assert outcome(fake_facts)[check] is False


def test_a_wrong_key_names_its_place(fake_facts):
    fake_facts["evals"][1]["valeu"] = 3
    with pytest.raises(msgspec.ValidationError, match=r"valeu.*evals\[1\]"):
        to_facts(fake_facts)
