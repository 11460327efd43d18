"""The recipe: overrides, and errors that name the key and the way out."""

import pytest

from hornbook import recipe
from hornbook.core.errors import UserError


def load_error(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        recipe.load("hello", overrides)
    return str(caught.value)


def test_every_shipped_recipe_loads():
    assert "hello" in recipe.shipped_recipes()
    for name in recipe.shipped_recipes():
        assert recipe.load(name).name == name


def test_set_reaches_nested_keys_and_list_items():
    changed = recipe.load(
        "hello",
        (
            "pretrain.learning_rate=3e-4",
            "data.sources.0.include_tests=true",
            "name=mine",
        ),
    )
    assert changed.pretrain.learning_rate == 3e-4
    assert changed.data.sources[0].include_tests is True
    assert changed.name == "mine"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("pretrain.stpes=3", "unknown key 'pretrain.stpes' (did you mean 'steps'?)"),
        ("modl.x=1", "unknown key 'modl' (did you mean 'model'?)"),
        ("data.sources.0.include_test=true", "(did you mean 'include_tests'?)"),
        ("pretrain.steps=abc", "'pretrain.steps': expected int, got str"),
        ("pretrain.batch=0", "'pretrain.batch': expected int >= 1"),
        ("model.mlp=swiglo", "it can be swiglu, geglu"),
        ("data.sources.0.kind=floder", "it can be python-stdlib, files"),
        ("model.n_kv_heads=2", "must be a multiple of 'n_kv_heads'"),
        ("data.sources.7.path=x", "no item '7'"),
        ("pretrain.steps", "--set takes key=value"),
        ("name=../up", "plain folder name"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence_that_names_the_key(override, said):
    message = load_error(override)
    assert said in message
    assert "\n" not in message


def test_a_missing_recipe_lists_the_ones_there_are():
    with pytest.raises(UserError, match="hello"):
        recipe.load("helo")


def test_broken_toml_names_the_file_and_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("name = 'x'\n[data\n")
    with pytest.raises(UserError, match=r"mine\.toml is not valid TOML.*line 2"):
        recipe.load(str(path))


def test_a_preset_gives_the_model_and_other_keys_change_it(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(
        'data.sources = [{kind = "python-stdlib"}]\npretrain.steps = 1\n'
        '[model]\npreset = "mixtral-8x7b"\nn_layers = 3\nexperts.count = 4\n'
    )
    model = recipe.load(str(path), ("model.d_model=512",)).model
    assert (model.n_layers, model.d_model, model.n_kv_heads) == (3, 512, 8)
    assert model.experts is not None
    assert (model.experts.count, model.experts.active) == (4, 2)
    assert model.vocab_size == 0  # the tokenizer's


def test_an_unknown_preset_is_refused_by_name():
    message = load_error("model.preset=gpt2-124")
    assert "hello.toml: [model] 'preset': there is no 'gpt2-124'" in message
    assert "did you mean 'gpt2-124m'" in message
