"""The presets have their published sizes, and a description agrees with the model."""

import io
import json

import pytest
import torch
from rich.console import Console
from shapes import SWITCHES, tiny

from hornbook import show
from hornbook.core.errors import UserError
from hornbook.model import sizes
from hornbook.model.describe import describe, overview, render
from hornbook.model.huggingface import save_model
from hornbook.model.presets import PRESETS, preset
from hornbook.model.transformer import Transformer
from hornbook.show import describe_model

# As Transformers counts them in the published checkpoints.
PUBLISHED = {
    "gpt2-124m": 124_439_808,
    "gpt2-355m": 354_823_168,
    "gpt2-774m": 774_030_080,
    "gpt2-1.5b": 1_557_611_200,
    "llama-1b": 1_235_814_400,
    "llama-3b": 3_212_749_824,
    "llama-8b": 8_030_261_248,
    "qwen3-0.6b": 596_049_920,
    "mixtral-8x7b": 46_702_792_704,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_the_published_number_of_parameters(name):
    assert describe(preset(name)).parameters == PUBLISHED[name]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_model_with_the_parameters_it_says(name):
    with torch.device("meta"):
        model = Transformer(preset(name))
    count = sum(p.numel() for p in model.parameters())
    assert sum(sizes.parameters(preset(name)).values()) == count


@pytest.mark.parametrize("name", SWITCHES)
def test_tensors_and_parts_add_up(name):
    facts = describe(tiny(name))
    assert sum(tensor.parameters for tensor in facts.tensors) == facts.parameters
    assert sum(facts.parts.values()) == facts.parameters


def test_the_names_of_models_say_their_size():
    millions = sum(sizes.parameters(preset("llama-110m")).values()) / 1e6
    assert 108 < millions < 112
    experts = sizes.active_parameters(preset("mixtral-8x7b")) / 1e9
    assert 12.8 < experts < 13.0  # "12.9B active", arXiv 2401.04088


def test_rendering_shows_shapes_and_totals():
    console = Console(file=io.StringIO(), width=100)
    console.print(render(describe(preset("gpt2-124m"))))
    shown = console.file.getvalue()
    for text in ("50257 x 768", "124,439,808", "blocks.N.feed_forward.up.weight"):
        assert text in shown


def test_a_preset_can_be_changed_and_an_unknown_one_is_named():
    assert preset("llama-110m", n_layers=3).n_layers == 3
    with pytest.raises(UserError, match=r"did you mean 'gpt2-124m'"):
        preset("gpt2-124")


def test_the_overview_lists_every_preset_with_its_size():
    console = Console(file=io.StringIO(), width=100)
    console.print(overview({name: describe(preset(name)) for name in PRESETS}))
    shown = console.file.getvalue()
    for name, count in PUBLISHED.items():
        assert name in shown
        assert f"{count:,}" in shown


def test_describe_takes_a_recipe_a_preset_and_a_directory(tmp_path, capsys):
    torch.manual_seed(0)
    save_model(Transformer(tiny("gpt2")), tmp_path)
    for name, overrides in (
        ("hello", ("model.preset=llama-10m",)),
        ("llama-10m", ("model.vocab_size=4096",)),
        (str(tmp_path), ()),
    ):
        describe_model(name, overrides, True, None)
        facts = json.loads(capsys.readouterr().out)
        total = describe(show.model_meant(name, overrides)).parameters
        assert facts["parameters"] == sum(facts["parts"].values()) == total


def test_describe_draws(tmp_path, capsys):
    describe_model("gpt2-124m", (), False, tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_text().startswith("<svg")
    capsys.readouterr()


def test_a_key_outside_the_model_is_refused_with_the_one_that_was_meant():
    with pytest.raises(UserError, match=r"--set model\.mlp="):
        show.model_meant("gpt2-124m", ("mlp=relu2",))
    assert show.model_meant("gpt2-124m", ("model.mlp=relu2",)).mlp == "relu2"
