"""A model directory as Hugging Face's Transformers writes and reads it.

``config.json`` and ``model.safetensors``, in the layout of Qwen3 (with QK-norm) or Llama
(without), so that Transformers, llama.cpp and vLLM open what we train. A model that
neither can express has the same tensor names under ``model_type`` "hornbook".
Reading order: :func:`save_model`, :func:`load_model`, :data:`NAMES`.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file, read_json, write_json
from hornbook.core.settings import parse, to_table
from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer

WEIGHTS = "model.safetensors"
CLASSES = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}

# Our module -> theirs; inside a block, after "blocks.N." and "model.layers.N.".
NAMES = {
    "embedding": "model.embed_tokens",
    "norm": "model.norm",
    "head": "lm_head",
}
BLOCK_NAMES = {
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj",
    "feed_forward.down": "mlp.down_proj",
}


@dataclass(frozen=True)
class TokenIds:
    """Ids of special tokens that runtimes look for in a model's directory."""

    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    def table(self) -> dict[str, Any]:
        """The ids that are set, under Transformers' names."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def save_model(
    model: Transformer, directory: Path, token_ids: TokenIds | None = None
) -> None:
    """Write ``config.json``, ``generation_config.json`` and ``model.safetensors``."""
    directory.mkdir(parents=True, exist_ok=True)
    ids = (token_ids or TokenIds()).table()
    tensors = {
        their_name(name): value.detach().contiguous()
        for name, value in model.state_dict().items()
    }
    dtype = str(model.embedding.weight.dtype).removeprefix("torch.")
    with atomic_file(directory / WEIGHTS) as handle:
        handle.write(save(tensors, metadata={"format": "pt"}))
    write_json(directory / "generation_config.json", {"_from_model_config": True} | ids)
    table = config_to_table(model.config) | {"dtype": dtype, "torch_dtype": dtype}
    write_json(directory / "config.json", table | ids)


def load_model(directory: Path) -> Transformer:
    """The model of a directory that :func:`save_model` or Transformers wrote, in float32.

    Raises :class:`UserError` for an architecture or setting we can't represent, and for
    missing, unexpected or misshapen tensors, naming the first.
    """
    source = directory / "config.json"
    config = config_from_table(read_json(source), str(source))
    tensors = read_tensors(directory)
    if config.tied:  # some writers store the shared matrix twice
        tensors.pop("lm_head.weight", None)
    model = Transformer(config)
    wanted = {their_name(name): tensor for name, tensor in model.state_dict().items()}
    _check_tensors(wanted, tensors, directory)
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(tensors[name])
    return model


def their_name(name: str) -> str:
    """``blocks.0.attention.query.weight`` -> ``model.layers.0.self_attn.q_proj.weight``."""
    module, _, kind = name.rpartition(".")
    inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    if inside:
        return f"model.layers.{inside[1]}.{BLOCK_NAMES[inside[2]]}.{kind}"
    return f"{NAMES[module]}.{kind}"


def config_to_table(config: ModelConfig) -> dict[str, Any]:
    """The contents of ``config.json``: Qwen3's or Llama's keys, else our own."""
    if config.mlp != "swiglu":
        return {"model_type": "hornbook", "hornbook": to_table(config)}
    model_type = "qwen3" if config.qk_norm else "llama"
    return {
        "architectures": [CLASSES[model_type]],
        "model_type": model_type,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.d_model,
        "intermediate_size": sizes.d_ff(config),
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": sizes.d_head(config),
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        # Transformers 5 reads the first, everything older the second.
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "rope_theta": config.rope_base,
        "tie_word_embeddings": config.tied,
        "attention_bias": False,
        "mlp_bias": False,
        "use_cache": True,
    }


def config_from_table(table: dict[str, Any], where: str) -> ModelConfig:
    """Read ``config.json``; ``where`` names it in errors."""
    model_type = table.get("model_type")
    if model_type == "hornbook":
        return parse(ModelConfig, table.get("hornbook", {}), where)
    if model_type not in CLASSES:
        raise UserError(
            f"{where}: 'model_type' is '{model_type}', which Hornbook can't represent; it "
            f"reads {', '.join(CLASSES)} and hornbook."
        )
    _refuse_unknown(table, where)
    heads = table.get("num_attention_heads")
    fields = {
        "n_layers": table.get("num_hidden_layers"),
        "d_model": table.get("hidden_size"),
        "n_heads": heads,
        "n_kv_heads": table.get("num_key_value_heads") or heads,
        "context_length": table.get("max_position_embeddings"),
        "d_head": table.get("head_dim") or (128 if model_type == "qwen3" else 0),
        "d_ff": table.get("intermediate_size"),
        "vocab_size": table.get("vocab_size"),
        "qk_norm": model_type == "qwen3",
        "rope_base": float(_rope(table).get("rope_theta", 10_000.0)),
        "norm_eps": table.get("rms_norm_eps", 1e-6),
        "tied": table.get("tie_word_embeddings", False),
    }
    return parse(ModelConfig, fields, where)


def _rope(table: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings, from where Transformers 5 or 4 keeps them."""
    old = {"rope_theta": table["rope_theta"]} if "rope_theta" in table else {}
    return (
        old | (table.get("rope_scaling") or {}) | (table.get("rope_parameters") or {})
    )


def _refuse_unknown(table: dict[str, Any], where: str) -> None:
    rope = _rope(table)
    represented = {
        "hidden_act": (table.get("hidden_act", "silu"), "silu"),
        "attention_bias": (table.get("attention_bias", False), False),
        "mlp_bias": (table.get("mlp_bias", False), False),
        "use_sliding_window": (table.get("use_sliding_window", False), False),
        "rope_type": (rope.get("rope_type", rope.get("type", "default")), "default"),
    }
    for key, (found, known) in represented.items():
        if found != known:
            raise UserError(
                f"{where}: '{key}' is {found!r}, and Hornbook represents only {known!r}."
            )


def read_tensors(directory: Path) -> dict[str, Tensor]:
    """Every tensor of a directory, from one safetensors file or from several."""
    index = directory / f"{WEIGHTS}.index.json"
    if index.exists():
        files = sorted(set(read_json(index)["weight_map"].values()))
    elif (directory / WEIGHTS).exists():
        files = [WEIGHTS]
    else:
        raise UserError(
            f"{directory} holds no {WEIGHTS}; pickled weights (.bin, .pt) are never opened, "
            "because opening one may run its code: convert them to safetensors first."
        )
    tensors: dict[str, Tensor] = {}
    for name in files:
        try:
            tensors |= load_file(directory / Path(name).name)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{directory / name} can't be read as safetensors: {error}."
            ) from None
    return tensors


def _check_tensors(
    wanted: dict[str, Tensor], found: dict[str, Tensor], directory: Path
) -> None:
    missing = sorted(wanted.keys() - found.keys())
    extra = sorted(found.keys() - wanted.keys())
    for names, problem in ((missing, "lacks"), (extra, "has an unexpected")):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise UserError(
                f"{directory}: the weights file {problem} tensor '{names[0]}'{more}; it "
                "doesn't belong to this config.json."
            )
    for name, tensor in wanted.items():
        if tensor.shape != found[name].shape:
            raise UserError(
                f"{directory}: tensor '{name}' has shape {tuple(found[name].shape)}, and "
                f"config.json calls for {tuple(tensor.shape)}."
            )
