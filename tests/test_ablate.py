"""`hornbook ablate`: every variant trained alike, compared with honest intervals."""

import json
import math
import statistics

import pytest

from hornbook import ablate as ablation
from hornbook.ablate import ablate, interval, render, summarise, variants
from hornbook.core.errors import UserError
from hornbook.recipe import load


def changes(over: str, *overrides: str) -> list[str]:
    return [v.change for v in variants(load("ablations", overrides), over)]


def test_settings_with_a_list_are_tried_with_all_of_it():
    assert changes("norm,norm_place") == [
        *("", "norm=layernorm"),
        *("norm_place=post", "norm_place=sandwich"),
    ]
    assert len(changes("position,mlp")) == 1 + 4 + 4
    assert changes("tied") == ["", "tied=True"]


def test_other_settings_are_tried_with_the_values_given():
    found = variants(load("ablations"), "n_kv_heads=1:2,score_cap=30.0")
    assert [v.recipe.model.n_kv_heads for v in found] == [4, 1, 2, 4]
    assert found[3].recipe.model.score_cap == 30.0


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("nrom", "no such setting"),
        ("n_layers", "say which values to try"),
        ("n_kv_heads=3", "must be a multiple of 'n_kv_heads'"),
        ("mlp=swiglo", "--over mlp=swiglo"),
        ("norm=rmsnorm", "nothing there differs"),
    ],
)
def test_what_cannot_be_varied_is_refused(over, said):
    with pytest.raises(UserError) as caught:
        changes(over)
    assert said in str(caught.value)


def test_the_interval_is_students():
    values = [1.0, 1.2, 1.7]
    reach = 4.303 * statistics.stdev(values) / math.sqrt(3)
    mean = statistics.mean(values)
    assert interval(values) == pytest.approx((mean - reach, mean + reach))
    assert interval([2.0, 2.0]) == (2.0, 2.0)
    wide = interval([float(n % 2) for n in range(100)])
    assert wide[1] - wide[0] == pytest.approx(2 * 1.984 * 0.50252 / 10, rel=0.01)


def seed(loss: float) -> dict:
    return {
        "validation_bits_per_byte": loss,
        "parameters": 10,
        "flops_per_token": 60.0,
        "tokens": 100,
        "tokens_per_second": 5.0,
        "seconds": 1.0,
    }


def test_differences_are_taken_seed_by_seed():
    facts = {
        "": [seed(1.0), seed(2.0), seed(3.0)],
        "a": [seed(1.1), seed(2.1), seed(3.1)],
        "b": [seed(0.5), seed(2.5), seed(3.0)],
        "c": [seed(1.0), {"failed": "The loss is no longer a number."}, seed(1.0)],
    }
    result = {"metric": "bits", "seeds": 3, "steps": 4}
    result["variants"] = [summarise(change, facts) for change in facts]
    base, a, b, c = result["variants"]
    assert "difference" not in base
    assert a["difference"] == pytest.approx(0.1)
    assert a["difference_interval"] == pytest.approx((0.1, 0.1))
    assert a["interval"][0] < 0  # the losses alone would tell nothing
    low, high = b["difference_interval"]
    assert low < 0 < high
    assert c["failures"] == 1
    assert render(result).row_count == 4


def test_an_ablation_is_trained_compared_and_not_trained_again(
    small_recipe, tmp_path, capsys, monkeypatch
):
    recipe = load(str(small_recipe), ("pretrain.steps=3",))
    result = ablate(recipe, "mlp=relu", 2, tmp_path, "cpu", True)
    run = tmp_path / "small"
    assert json.loads((run / "ablation.json").read_text()) == json.loads(
        json.dumps(result)
    )
    base, relu = result["variants"]
    assert relu["change"] == "mlp=relu"
    assert len(base["losses"]) == len(relu["losses"]) == 2
    assert base["losses"] != relu["losses"]
    assert base["losses"][0] != base["losses"][1]
    assert not list(run.glob("ablate/*/model"))
    monkeypatch.setattr(ablation, "execute", lambda *_: pytest.fail("trained again"))
    again = ablate(recipe, "mlp=relu", 2, tmp_path, "cpu", True)
    assert again == result
    capsys.readouterr()


def test_a_variant_whose_loss_runs_away_is_a_result_not_the_end(
    small_recipe, tmp_path, monkeypatch
):
    import hornbook.training

    def explode(task):
        raise UserError("The loss is no longer a number at step 3.")

    monkeypatch.setattr(hornbook.training, "pretrain", explode)
    recipe = load(str(small_recipe), ("pretrain.steps=3",))
    result = ablate(recipe, "mlp=relu", 2, tmp_path, "cpu", False)
    assert [v["failures"] for v in result["variants"]] == [2, 2]
