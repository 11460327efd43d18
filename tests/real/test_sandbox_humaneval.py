"""The sandbox and the published problems: every right solution passes, no empty one does."""

import gzip
import json

import pytest

from hornbook.sandbox.run import Program, run_all


@pytest.fixture(scope="module")
def problems(data):
    with gzip.open(data / "humaneval" / "HumanEval.jsonl.gz") as lines:
        return [json.loads(line) for line in lines]


def program(problem, body):
    name = problem["entry_point"]
    return Program(
        problem["prompt"] + body,
        f"{problem['test']}\ncheck({name})",
        (name,),
        helpers=problem["prompt"] + "    pass\n",
    )


def test_all_164_canonical_solutions_pass(problems):
    solutions = [program(p, p["canonical_solution"]) for p in problems]
    outcomes = list(run_all(solutions))
    wrong = [
        p["task_id"] for p, o in zip(problems, outcomes, strict=True) if not o.passed
    ]
    assert len(outcomes) == 164
    assert not wrong


@pytest.mark.parametrize("body", ["    pass\n", "    import sys; sys.exit(0)\n"])
def test_no_empty_solution_passes(problems, body):
    outcomes = run_all([program(p, body) for p in problems[:60]])
    assert not any(outcome.passed for outcome in outcomes)
