"""The command: which models it serves, and under which names."""

import pytest

from hornbook.core.errors import UserError
from hornbook.serving import name_of, openers_of

OPTIONS = (None, "cpu", "float32", False)


@pytest.fixture
def run(tmp_path):
    """A run with a pretrained and a tuned model."""
    run = tmp_path / "mine"
    for stage in ("pretrain", "sft"):
        (run / stage / "model").mkdir(parents=True)
        (run / stage / "manifest.json").write_text("{}")
        (run / stage / "model" / "config.json").write_text("{}")
    (run / "recipe.toml").write_text("")
    return run


def test_a_run_has_its_name_and_a_model_in_it_the_stage_s_too(run):
    assert name_of(run) == "mine"
    assert name_of(run / "sft" / "model") == "mine-sft"
    assert name_of(run / ".." / "mine") == "mine"


def test_each_model_is_served_once(run):
    found = openers_of((run, run / "pretrain" / "model"), *OPTIONS)
    assert list(found) == ["mine", "mine-pretrain"]
    with pytest.raises(UserError, match="would be called 'mine'"):
        openers_of((run, run), *OPTIONS)


def test_a_run_without_a_model_is_served_for_its_page(tmp_path):
    run = tmp_path / "young"
    run.mkdir()
    (run / "recipe.toml").write_text("")
    assert openers_of((run,), *OPTIONS) == {}


def test_a_folder_that_is_no_run_is_left_to_fail_with_its_reason(tmp_path):
    (tmp_path / "what").mkdir()
    assert list(openers_of((tmp_path / "what",), *OPTIONS)) == ["what"]
    with pytest.raises(UserError, match="is not a folder"):
        openers_of((tmp_path / "nothing",), *OPTIONS)
