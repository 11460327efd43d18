"""The Llama family: Llama, Qwen2, Qwen3 and Mixtral name things alike.

They differ from one another in single settings: Qwen3 norms its queries and keys, Qwen2
gives them biases, Mixtral has experts.
"""

import re
from typing import Any

from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.core.settings import parse
from hornbook.model import sizes
from hornbook.model.config import ExpertsConfig, ModelConfig
from hornbook.model.layout_rope import read_rope, resolved, rope_table

# Our module -> theirs; inside a block, after "blocks.N." and "model.layers.N.".
NAMES = {"embedding": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
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
    "feed_forward.router": "block_sparse_moe.gate",
}
EXPERT_NAMES = {"gate": "w1", "down": "w2", "up": "w3"}


class Llama:
    """Llama 1 to 3: the family's plain member."""

    model_type, architecture = "llama", "LlamaForCausalLM"
    default_d_head = 0

    def settings(self, table: dict[str, Any]) -> dict[str, Any]:
        """Our settings that this member fixes, or reads from keys of its own."""
        return {"qk_norm": False}

    def keys(self, config: ModelConfig) -> dict[str, Any]:
        """Keys that only this member has."""
        return {"attention_bias": False, "mlp_bias": False}

    def to_table(self, config: ModelConfig) -> dict[str, Any]:
        """The contents of ``config.json``."""
        rope = rope_table(config)
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
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
            # Transformers 5 reads the first, everything older the other two.
            "rope_parameters": rope,
            "rope_theta": rope["rope_theta"],
            **({"rope_scaling": rope} if rope["rope_type"] != "default" else {}),
            "tie_word_embeddings": config.tied,
            "use_cache": True,
            **self.keys(config),
        }

    def from_table(self, table: dict[str, Any], where: str) -> ModelConfig:
        """Read ``config.json``; ``where`` names it in errors."""

        def need(key: str) -> Any:
            if table.get(key) is None:
                raise UserError(f"{where}: the key '{key}' is missing.")
            return table[key]

        _refuse_unknown(table, where)
        base, scaling = read_rope(table, where)
        fields = {
            "n_layers": need("num_hidden_layers"),
            "d_model": need("hidden_size"),
            "n_heads": need("num_attention_heads"),
            "n_kv_heads": table.get("num_key_value_heads")
            or need("num_attention_heads"),
            "context_length": need("max_position_embeddings"),
            "d_head": table.get("head_dim") or self.default_d_head,
            "d_ff": need("intermediate_size"),
            "vocab_size": need("vocab_size"),
            "rope_base": base,
            "rope_scaling": scaling,
            "norm_eps": table.get("rms_norm_eps", 1e-6),
            "tied": table.get("tie_word_embeddings", False),
        }
        return resolved(parse(ModelConfig, fields | self.settings(table), where))

    def export(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Our named tensors as theirs."""
        return {rename(name): tensor for name, tensor in state.items()}

    def load(
        self, tensors: dict[str, Tensor], config: ModelConfig
    ) -> dict[str, Tensor]:
        """Their named tensors as ours."""
        return {rename_back(name): tensor for name, tensor in tensors.items()}

    def tidy(
        self, tensors: dict[str, Tensor], config: ModelConfig
    ) -> dict[str, Tensor]:
        """Some writers store a tied head twice, and old ones the rotary frequencies."""
        tied = "lm_head.weight" if config.tied else ""
        return {
            name: tensor
            for name, tensor in tensors.items()
            if name != tied and not name.endswith("rotary_emb.inv_freq")
        }


class Qwen3(Llama):
    """Llama with RMSNorm on queries and keys; heads of 128 unless said otherwise."""

    model_type, architecture = "qwen3", "Qwen3ForCausalLM"
    default_d_head = 128

    def settings(self, table: dict[str, Any]) -> dict[str, Any]:
        """QK-norm."""
        return {"qk_norm": True}

    def keys(self, config: ModelConfig) -> dict[str, Any]:
        """No biases."""
        return {"attention_bias": False}


class Qwen2(Llama):
    """Llama with biases on queries, keys and values."""

    model_type, architecture = "qwen2", "Qwen2ForCausalLM"

    def settings(self, table: dict[str, Any]) -> dict[str, Any]:
        """The biases, which its ``config.json`` doesn't mention."""
        return {"qk_norm": False, "bias": "qkv"}

    def keys(self, config: ModelConfig) -> dict[str, Any]:
        """None."""
        return {}


class Mixtral(Llama):
    """Llama with experts, and possibly one sliding window for all layers."""

    model_type, architecture = "mixtral", "MixtralForCausalLM"

    def settings(self, table: dict[str, Any]) -> dict[str, Any]:
        """The experts and the window."""
        experts = {
            "count": table.get("num_local_experts", 8),
            "active": table.get("num_experts_per_tok", 2),
            "balance": table.get("router_aux_loss_coef", 0.001),
        }
        window = table.get("sliding_window")
        return {
            "qk_norm": False,
            "experts": experts,
            "windows": [window] if window else [],
        }

    def keys(self, config: ModelConfig) -> dict[str, Any]:
        """The experts and the window."""
        experts = config.experts or ExpertsConfig(count=1, active=1)
        return {
            "num_local_experts": experts.count,
            "num_experts_per_tok": experts.active,
            "router_aux_loss_coef": experts.balance,
            "sliding_window": config.windows[0] if config.windows else None,
        }


def _refuse_unknown(table: dict[str, Any], where: str) -> None:
    known = {
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "use_sliding_window": False,
        "partial_rotary_factor": 1.0,
    }
    for key, value in known.items():
        if table.get(key, value) != value:
            raise UserError(
                f"{where}: '{key}' is {table[key]!r}, and Hornbook represents only {value!r}."
            )


def rename(name: str) -> str:
    """``blocks.0.attention.query.weight`` -> ``model.layers.0.self_attn.q_proj.weight``."""
    module, _, kind = name.rpartition(".")
    inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    if not inside:
        return f"{NAMES.get(module, module)}.{kind}"
    layer, part = inside.groups()
    expert = re.fullmatch(r"feed_forward\.experts\.(\d+)\.(.+)", part)
    if expert:
        part = f"block_sparse_moe.experts.{expert[1]}.{EXPERT_NAMES[expert[2]]}"
    return f"model.layers.{layer}.{BLOCK_NAMES.get(part, part)}.{kind}"


def rename_back(name: str) -> str:
    """The inverse of :func:`rename`."""
    module, _, kind = name.rpartition(".")
    inside = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", module)
    if not inside:
        return f"{_inverse(NAMES).get(module, module)}.{kind}"
    layer, part = inside.groups()
    expert = re.fullmatch(r"block_sparse_moe\.experts\.(\d+)\.(.+)", part)
    if expert:
        ours = f"feed_forward.experts.{expert[1]}.{_inverse(EXPERT_NAMES)[expert[2]]}"
    else:
        ours = _inverse(BLOCK_NAMES).get(part, part)
    return f"blocks.{layer}.{ours}.{kind}"


def _inverse(names: dict[str, str]) -> dict[str, str]:
    return {theirs: ours for ours, theirs in names.items()}
