"""Weights at home in the ecosystem: Transformers is the oracle, both ways."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from shapes import SWITCHES, random_model, random_tokens, tiny

from hornbook.core.errors import UserError
from hornbook.model.huggingface import TokenIds, load_model, save_model

NO_QK_NORM = {"qk_norm": False}
# family -> tiny configurations of ours that it expresses
FAMILIES = {
    "Qwen3": [
        *(tiny(n) for n in ("default", "tied", "multi-query", "wide heads")),
        *(tiny(n) for n in ("rope base", "rope linear", "rope ntk")),
        *(tiny(n) for n in ("rope llama3", "rope yarn", "rope yarn sharp")),
    ],
    "Llama": [
        *(
            tiny(n, **NO_QK_NORM)
            for n in ("default", "tied", "multi-head", "wide heads")
        ),
        *(tiny(n, **NO_QK_NORM) for n in ("rope linear", "rope llama3", "rope yarn")),
        tiny("rope ntk", **NO_QK_NORM),
    ],
    "Qwen2": [tiny("qkv biases"), tiny("qkv biases", tied=True)],
    "Mixtral": [
        tiny("experts", **NO_QK_NORM),
        tiny("experts", **NO_QK_NORM, windows=(6,)),
    ],
    "GPT2": [tiny("gpt2"), tiny("gpt2", tied=False, d_ff=72, norm_eps=1e-3)],
}
CASES = [(family, config) for family, configs in FAMILIES.items() for config in configs]


@pytest.mark.parametrize(("family", "config"), CASES)
@torch.no_grad()
def test_transformers_opens_what_we_save_and_gives_the_same_logits(
    family, config, tmp_path
):
    transformers = pytest.importorskip("transformers")
    model, tokens = random_model(config), random_tokens(config, 2, 48)
    save_model(model, tmp_path)
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert type(theirs).__name__.startswith(family)
    assert (theirs(tokens).logits - model(tokens)).abs().max() < 1e-4


ROPE = {"rope_type": "default", "rope_theta": 3000.0}
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
THEIRS = {
    "qwen3": LLAMA | {"head_dim": 16, "rope_parameters": ROPE},
    "llama": LLAMA | {"rope_parameters": ROPE, "tie_word_embeddings": True},
    "llama 3.1": LLAMA
    | {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 3.0,
            "original_max_position_embeddings": 32,
        }
    },
    "llama yarn": LLAMA
    | {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 900.0,
            "factor": 4.0,
            "beta_fast": 16.0,
            "original_max_position_embeddings": 16,
        }
    },
    "llama yarn, DeepSeek's scale": LLAMA
    | {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 900.0,
            "factor": 4.0,
            "mscale": 1.3,
            "mscale_all_dim": 0.7,
            "original_max_position_embeddings": 16,
        }
    },
    "qwen3 yarn": LLAMA
    | {
        "head_dim": 16,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 900.0,
            "factor": 2.0,
            "attention_factor": 1.7,
            "original_max_position_embeddings": 32,
        },
    },
    "llama linear": LLAMA
    | {"rope_parameters": {"rope_type": "linear", "rope_theta": 900.0, "factor": 4.0}},
    "llama dynamic": LLAMA
    | {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 900.0, "factor": 4.0}},
    "mixtral windowless": LLAMA
    | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    "qwen2": LLAMA | {"rope_parameters": ROPE, "tie_word_embeddings": False},
    "mixtral": LLAMA
    | {"num_local_experts": 5, "num_experts_per_tok": 3, "sliding_window": 9},
    "gpt2": {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 64,
        "initializer_range": 0.2,
    },
}


@pytest.mark.parametrize("name", THEIRS)
@torch.no_grad()
def test_we_open_what_transformers_saves(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    settings = transformers.AutoConfig.for_model(
        name.split()[0], vocab_size=53, **THEIRS[name]
    )
    theirs = transformers.AutoModelForCausalLM.from_config(settings).eval()
    for parameter in theirs.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.3 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    ours = load_model(tmp_path).eval()
    tokens = random_tokens(ours.config, 2, 60)
    assert (theirs(tokens).logits - ours(tokens)).abs().max() < 1e-4
    save_model(ours, tmp_path / "again")
    again = json.loads((tmp_path / "again" / "config.json").read_text())
    assert again["model_type"] == name.split()[0]


def test_the_first_published_gpt2_files_are_read(tmp_path):
    """Names without a prefix, and the causal mask among the weights."""
    model = random_model(tiny("gpt2"))
    save_model(model, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {k.removeprefix("transformer."): v for k, v in tensors.items()}
    old["h.0.attn.bias"] = torch.ones(1, 1, 48, 48).tril()
    save_file(old, tmp_path / "model.safetensors")
    tokens = random_tokens(model.config, 1, 9)
    assert torch.equal(load_model(tmp_path)(tokens), model(tokens))


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
        ({"rope_parameters": {"rope_type": "longrope"}}, "'longrope'"),
        (
            {"rope_parameters": {"rope_type": "yarn", "truncate": False}},
            "'truncate' of RoPE",
        ),
        (
            {"rope_parameters": {"partial_rotary_factor": 0.5}},
            "'partial_rotary_factor'",
        ),
        ({"hidden_size": None}, "the key 'hidden_size' is missing"),
        ({"model_type": "gpt2"}, "the key 'n_layer' is missing"),
        (
            {"model_type": "gpt2", "activation_function": "tanh"},
            "'activation_function' is 'tanh'",
        ),
        (
            {"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True},
            "'scale_attn_by_inverse_layer_idx' is True",
        ),
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
