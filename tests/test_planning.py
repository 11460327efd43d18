"""`hornbook plan` and `hornbook scale`: from a recipe to a cost, from a budget to a shape."""

import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from hornbook import cli
from hornbook.core.errors import UserError
from hornbook.planning import apply, known_law, ladder, parse_budget, propose, shape_of
from hornbook.recipe import load
from hornbook.train.hardware import GPUS
from hornbook.train.scaling import PUBLISHED


def call(*arguments):
    result = CliRunner().invoke(cli.commands, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_shipped_gpt2_recipe_is_planned_for_a_gpu_of_the_table():
    plan = json.loads(call("plan", "gpt2-124m", "--on", "H100", "--json"))
    assert plan["fits"]
    assert 120e6 < plan["plan"]["parameters"] < 130e6
    assert 3600 < plan["cost"]["seconds"] < 24 * 3600
    shown = call("plan", "gpt2-124m", "--on", "H100")
    for word in ("activations", "kWh", "$", "fits"):
        assert word in shown


def test_what_does_not_fit_says_what_would(small_recipe):
    shown = call(
        "plan", "gpt2-124m", "--on", "T4", "--set", "pretrain.micro_batch=0"
    )  # fmt: skip
    assert "--set pretrain.micro_batch=" in shown
    wide = ("--set", "model.d_model=12288", "--set", "model.n_layers=96")
    assert "does not fit" in call("plan", "gpt2-124m", "--on", "T4", *wide)


def test_on_this_machine_it_is_measured(small_recipe):
    plan = json.loads(
        call("plan", small_recipe, "--seconds", "0.3", "--json", "--price", "1")
    )
    assert plan["how"].startswith("measured here")
    assert plan["cost"]["tokens_per_second"] > 100
    assert plan["cost"]["dollars"] > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10min", ("seconds", 600)),
        ("2h", ("seconds", 7200)),
        ("1.5d", ("seconds", 129600)),
        ("90 s", ("seconds", 90)),
        ("$20", ("dollars", 20)),
    ],
)
def test_budgets_are_read_as_people_write_them(text, expected):
    assert parse_budget(text) == expected


@pytest.mark.parametrize("text", ["", "10", "2 weeks", "-3h", "$", "0min", "$0"])
def test_a_budget_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(UserError, match="like 10min"):
        parse_budget(text)


def test_the_ladder_holds_shapes_that_can_be_built_and_keeps_the_rest(small_recipe):
    from hornbook.model.check import check

    shape = shape_of(load(str(small_recipe)))
    for step in ladder(shape):
        check(step)
        assert step.context_length == shape.context_length
        assert step.d_model // step.n_heads == 64


def test_more_budget_buys_a_larger_model_trained_longer(small_recipe):
    recipe = load(str(small_recipe))
    speed = 4e14
    small, large = (propose(recipe, s, speed, PUBLISHED) for s in (600, 60_000))
    assert large.parameters > small.parameters
    assert large.tokens > small.tokens
    assert large.loss < small.loss
    chosen = apply(recipe, large)
    assert chosen.model.d_model == large.keys["model.d_model"]
    tokens = chosen.pretrain.steps * chosen.pretrain.batch * chosen.model.context_length
    assert tokens == pytest.approx(large.tokens, rel=0.01)


def test_forecasts_beyond_what_was_seen_carry_a_warning(small_recipe):
    recipe = load(str(small_recipe))
    assert "published" in propose(recipe, 600, 1e12, PUBLISHED).warnings[0]
    law = replace(PUBLISHED, most_parameters=1e5, most_tokens=1e6)
    assert any("guess" in w for w in propose(recipe, 6e5, 1e14, law).warnings)
    few = propose(recipe, 600, 1e13, law, unique=1e5)
    assert any("passes over the same text" in w for w in few.warnings)


def test_dollars_last_as_long_as_the_price_says():
    shown = json.loads(
        call("plan", "gpt2-124m", "--on", "H100", "--budget", "$5", "--json")
    )
    dear = json.loads(
        call(
            "plan",
            "gpt2-124m",
            "--on",
            "H100",
            "--budget",
            "$5",
            "--price",
            "50",
            "--json",
        )
    )
    assert GPUS["h100"].price < 50
    assert dear["loss"] > shown["loss"]


def test_an_unknown_gpu_and_a_machine_without_a_price_are_sentences(small_recipe):
    for extra, said in (
        (("--on", "Z80"), "There is no GPU 'Z80'"),
        (("--budget", "$5"), "give it with --price"),
    ):
        result = CliRunner().invoke(cli.commands, ["plan", str(small_recipe), *extra])
        assert isinstance(result.exception, UserError)
        assert said in str(result.exception)


@pytest.mark.slow
def test_a_sweep_leaves_points_law_and_picture_and_is_not_made_twice(
    small_recipe, small_run, tmp_path
):
    runs = tmp_path / "runs"
    shutil.copytree(small_run, runs / "small")
    command = ("scale", small_recipe, "--runs", runs, "--budget", "25s")
    keys = ("--set", "pretrain.batch=2", "--device", "cpu")
    assert "L(N, D) =" in call(*command, *keys)
    scale = runs / "small" / "scale"
    points = json.loads((scale / "law.json").read_text())["points"]
    assert len(points) == 9
    assert (scale / "law.svg").read_text().startswith("<svg")
    assert known_law(runs / "small").most_tokens == max(p[1] for p in points)
