"""Rotary settings under Transformers' keys, both ways, for the Llama family's layouts."""

import math
from typing import Any

import msgspec

from hornbook.core.errors import UserError
from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.rope import ntk_base, sharpness

LLAMA3_BOUNDS, YARN_BOUNDS = (1.0, 4.0), (1.0, 32.0)


def resolved(config: ModelConfig) -> ModelConfig:
    """``config`` with every derived number filled in, and without what only training uses.

    NTK scaling is nothing but another base, and becomes that.
    """
    scaling, base, width = config.rope_scaling, config.rope_base, sizes.d_head(config)
    if scaling and scaling.kind == "ntk" and not config.latent:
        base, scaling = ntk_base(width, base, scaling.factor), None
    if scaling and scaling.kind in ("llama3", "yarn"):
        llama3 = scaling.kind == "llama3"
        low, high = LLAMA3_BOUNDS if llama3 else YARN_BOUNDS
        scaling = msgspec.structs.replace(
            scaling,
            low=scaling.low or low,
            high=scaling.high or high,
            sharpness=0.0 if llama3 else sharpness(scaling),
        )
    return msgspec.structs.replace(
        config,
        d_head=width,
        d_ff=sizes.d_ff(config),
        rope_base=base,
        rope_scaling=scaling,
        init="zero",
    )


def rope_table(config: ModelConfig) -> dict[str, Any]:
    """Rotary settings under Transformers' keys."""
    config = resolved(config)
    scaling, base = config.rope_scaling, config.rope_base
    if scaling is None:
        return {"rope_type": "default", "rope_theta": base}
    table = {
        "rope_type": scaling.kind,
        "rope_theta": base,
        "factor": scaling.factor,
        "original_max_position_embeddings": scaling.original,
    }
    if scaling.kind == "llama3":
        table |= {"low_freq_factor": scaling.low, "high_freq_factor": scaling.high}
    if scaling.kind == "yarn":
        table |= {"beta_slow": scaling.low, "beta_fast": scaling.high}
        table["attention_factor"] = scaling.sharpness
    return table


def read_rope(table: dict[str, Any], where: str) -> tuple[float, dict[str, Any] | None]:
    """Base and scaling, from where Transformers 5 or 4 keeps them."""
    rope = dict(table.get("rope_scaling") or {}) | (table.get("rope_parameters") or {})
    base = float(rope.get("rope_theta", table.get("rope_theta", 10_000.0)))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise UserError(f"{where}: Hornbook can't represent 'partial_rotary_factor'.")
    if kind in ("default", "dynamic"):  # dynamic NTK begins beyond the context length
        return base, None
    if kind not in ("linear", "llama3", "yarn"):
        raise UserError(
            f"{where}: 'rope_type' is '{kind}'; Hornbook represents default, linear, "
            "dynamic, llama3 and yarn."
        )
    if not rope.get("truncate", True):
        raise UserError(f"{where}: Hornbook can't represent 'truncate' of RoPE.")
    longest, factor = table.get("max_position_embeddings", 1), rope.get("factor", 1.0)
    bounds = {"llama3": ("low_freq_factor", "high_freq_factor")}
    low, high = bounds.get(kind, ("beta_slow", "beta_fast"))
    return base, {
        "kind": kind,
        "factor": factor,
        "original": rope.get("original_max_position_embeddings")
        or max(1, int(longest / factor)),
        "low": float(rope.get(low) or 0),
        "high": float(rope.get(high) or 0),
        "sharpness": _sharpness(rope, factor) if kind == "yarn" else 0.0,
    }


def _sharpness(rope: dict[str, Any], factor: float) -> float:
    """YaRN's ``attention_factor``, or what ``mscale`` makes it; 0 where neither is set."""
    if rope.get("attention_factor"):
        return float(rope["attention_factor"])
    mine, all_dim = rope.get("mscale"), rope.get("mscale_all_dim")
    if not mine or not all_dim:
        return 0.0
    log = 0.1 * math.log(max(factor, 1.0))
    return (1 + mine * log) / (1 + all_dim * log)
