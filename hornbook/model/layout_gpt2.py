"""GPT-2's layout: matrices stored transposed, queries, keys and values in one."""

import re
from typing import Any

import torch
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.core.settings import parse
from hornbook.model import sizes
from hornbook.model.config import ModelConfig

NAMES = {
    "embedding": "wte",
    "position.table": "wpe",
    "norm": "ln_f",
}
BLOCK_NAMES = {
    "attention_norm": "ln_1",
    "attention.output": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}
FUSED, PARTS = "attn.c_attn", ("query", "key", "value")
REQUIRED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
}


class GPT2:
    """GPT-2, all sizes."""

    model_type = "gpt2"

    def to_table(self, config: ModelConfig) -> dict[str, Any]:
        """The contents of ``config.json``."""
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": self.model_type,
            "vocab_size": config.vocab_size,
            "n_positions": config.context_length,
            "n_embd": config.d_model,
            "n_layer": config.n_layers,
            "n_head": config.n_heads,
            "n_inner": sizes.d_ff(config),
            "activation_function": "gelu_new",
            "layer_norm_epsilon": config.norm_eps,
            "tie_word_embeddings": config.tied,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        }

    def from_table(self, table: dict[str, Any], where: str) -> ModelConfig:
        """Read ``config.json``; ``where`` names it in errors."""
        for key, value in REQUIRED.items():
            if table.get(key, value) != value:
                raise UserError(
                    f"{where}: '{key}' is {table[key]!r}, and Hornbook represents only "
                    f"{value!r}."
                )
        activation = table.get("activation_function", "gelu_new")
        if activation not in ("gelu_new", "gelu_pytorch_tanh"):
            raise UserError(
                f"{where}: 'activation_function' is '{activation}', and Hornbook represents "
                "only gelu_new."
            )
        for key in ("n_layer", "n_embd", "n_head", "n_positions", "vocab_size"):
            if table.get(key) is None:
                raise UserError(f"{where}: the key '{key}' is missing.")
        d_model, n_heads = table["n_embd"], table["n_head"]
        fields = {
            "n_layers": table["n_layer"],
            "d_model": d_model,
            "n_heads": n_heads,
            "n_kv_heads": n_heads,
            "context_length": table["n_positions"],
            "d_head": d_model // n_heads,
            "d_ff": table.get("n_inner") or 4 * d_model,
            "vocab_size": table["vocab_size"],
            "mlp": "gelu",
            "qk_norm": False,
            "norm": "layernorm",
            "norm_eps": table.get("layer_norm_epsilon", 1e-5),
            "position": "learned",
            "bias": "all",
            "tied": table.get("tie_word_embeddings", True),
        }
        return parse(ModelConfig, fields, where)

    def export(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Our named tensors as theirs."""
        result = {}
        for name, tensor in state.items():
            module, _, kind = name.rpartition(".")
            inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
            if module == "head":
                result["lm_head.weight"] = tensor
            elif not inside:
                result[f"transformer.{NAMES.get(module, module)}.{kind}"] = tensor
            elif inside[2] == "attention.query":
                parts = [state[name.replace("query", part)] for part in PARTS]
                fused = f"transformer.h.{inside[1]}.{FUSED}.{kind}"
                result[fused] = _turn(FUSED, torch.cat(parts))
            elif inside[2] not in ("attention.key", "attention.value"):
                part = BLOCK_NAMES.get(inside[2], inside[2])
                result[f"transformer.h.{inside[1]}.{part}.{kind}"] = _turn(part, tensor)
        return result

    def load(
        self, tensors: dict[str, Tensor], config: ModelConfig
    ) -> dict[str, Tensor]:
        """Their named tensors as ours."""
        outside = {theirs: ours for ours, theirs in NAMES.items()}
        within = {theirs: ours for ours, theirs in BLOCK_NAMES.items()}
        result = {}
        for name, tensor in tensors.items():
            module, _, kind = name.removeprefix("transformer.").rpartition(".")
            inside = re.fullmatch(r"h\.(\d+)\.(.+)", module)
            if module == "lm_head":
                result["head.weight"] = tensor
            elif not inside:
                result[f"{outside[module]}.{kind}"] = tensor
            elif inside[2] == FUSED:
                pieces = _turn(FUSED, tensor).chunk(3)
                for part, piece in zip(PARTS, pieces, strict=True):
                    result[f"blocks.{inside[1]}.attention.{part}.{kind}"] = piece
            else:
                ours = f"blocks.{inside[1]}.{within[inside[2]]}.{kind}"
                result[ours] = _turn(inside[2], tensor)
        return result

    def tidy(
        self, tensors: dict[str, Tensor], config: ModelConfig
    ) -> dict[str, Tensor]:
        """The first published files lack the prefix and hold attention's mask as tensors."""
        result = {}
        for name, tensor in tensors.items():
            if name.endswith((".attn.bias", ".attn.masked_bias")):
                continue
            if name == "lm_head.weight":
                if not config.tied:
                    result[name] = tensor
            else:
                result["transformer." + name.removeprefix("transformer.")] = tensor
        return result


def _turn(part: str, tensor: Tensor) -> Tensor:
    """GPT-2 stores the matrices of a block as (inputs, outputs)."""
    return tensor.T if tensor.ndim == 2 and part.startswith(("attn", "mlp")) else tensor
