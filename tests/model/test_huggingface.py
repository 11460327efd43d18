"""Weights at home in the ecosystem: Transformers is the oracle, both ways."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from shapes import SWITCHES, random_model, random_tokens, tiny

from hornbook.core.errors import UserError
from hornbook.model.huggingface import TokenIds, load_model, save_model

THEIRS = [name for name in SWITCHES if name != "relu2"]


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("qk_norm", [True, False])
@torch.no_grad()
def test_transformers_opens_what_we_save_and_gives_the_same_logits(
    name, qk_norm, tmp_path
):
    transformers = pytest.importorskip("transformers")
    config = tiny(name, qk_norm=qk_norm)
    model, tokens = random_model(config), random_tokens(config, 2, 40)
    save_model(model, tmp_path)
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert type(theirs).__name__.startswith("Qwen3" if qk_norm else "Llama")
    assert (theirs(tokens).logits - model(tokens)).abs().max() < 1e-4


@pytest.mark.parametrize("model_type", ["qwen3", "llama"])
@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_we_open_what_transformers_saves(model_type, tied, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    settings = transformers.AutoConfig.for_model(
        model_type,
        vocab_size=53,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=32,
        rope_parameters={"rope_type": "default", "rope_theta": 3000.0},
        tie_word_embeddings=tied,
        initializer_range=0.2,
    )
    theirs = transformers.AutoModelForCausalLM.from_config(settings).eval()
    theirs.save_pretrained(tmp_path)
    ours = load_model(tmp_path)
    tokens = random_tokens(ours.config, 2, 30)
    assert ours.config.rope_base == 3000.0
    assert (theirs(tokens).logits - ours(tokens)).abs().max() < 1e-4


@pytest.mark.parametrize("name", SWITCHES)
def test_a_saved_model_comes_back_bit_for_bit(name, tmp_path):
    config = tiny(name)
    model = random_model(config)
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    tokens = random_tokens(config, 1, 9)
    assert torch.equal(model(tokens), again(tokens))
    save_model(again, tmp_path / "again")
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == weights


def test_token_ids_reach_both_config_files(tmp_path):
    ids = TokenIds(eos_token_id=[3, 5], pad_token_id=4)
    save_model(random_model(tiny()), tmp_path, ids)
    for name in ("config.json", "generation_config.json"):
        table = json.loads((tmp_path / name).read_text())
        assert table["eos_token_id"] == [3, 5]
        assert table["pad_token_id"] == 4
        assert "bos_token_id" not in table


def damaged(tmp_path, change_tensors=None, change_config=None):
    save_model(random_model(tiny()), tmp_path)
    if change_tensors:
        tensors = load_file(tmp_path / "model.safetensors")
        change_tensors(tensors)
        save_file(tensors, tmp_path / "model.safetensors")
    if change_config:
        table = json.loads((tmp_path / "config.json").read_text())
        table |= change_config
        (tmp_path / "config.json").write_text(json.dumps(table))
    with pytest.raises(UserError) as caught:
        load_model(tmp_path)
    return str(caught.value)


def test_wrong_tensors_are_named(tmp_path):
    key = "model.layers.1.self_attn.q_proj.weight"
    assert f"lacks tensor '{key}'" in damaged(tmp_path, lambda t: t.pop(key))
    said = damaged(tmp_path, lambda t: t.update(surplus=torch.zeros(1)))
    assert "unexpected tensor 'surplus'" in said
    said = damaged(tmp_path, lambda t: t.update({key: torch.zeros(3, 3)}))
    assert f"tensor '{key}' has shape (3, 3)" in said
    assert "(32, 32)" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "mamba"}, "'model_type' is 'mamba'"),
        ({"hidden_act": "gelu"}, "'hidden_act' is 'gelu'"),
        ({"attention_bias": True}, "'attention_bias' is True"),
        ({"rope_scaling": {"type": "yarn"}, "rope_parameters": None}, "'yarn'"),
        ({"hidden_size": None}, "'d_model'"),
    ],
)
def test_a_config_we_cannot_represent_is_refused_by_key(change, said, tmp_path):
    assert said in damaged(tmp_path, change_config=change)


def test_directories_without_safe_weights_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"config\.json does not exist"):
        load_model(tmp_path)
    save_model(random_model(tiny()), tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="pickled weights"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="can't be read as safetensors"):
        load_model(tmp_path)
