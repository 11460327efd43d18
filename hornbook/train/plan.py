"""What a training will need, before it starts: memory by part, operations, time, money.

No torch here but in the probe (probe.py). Memory of weights and optimizer is counted, that
of activations estimated from the shapes; what the estimate leaves out is in ``RESERVE``.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.train.config import TrainConfig
from hornbook.train.hardware import Machine

RESERVE = 0.6e9  # bytes: libraries, kernels' workspaces, fragments


@dataclass(frozen=True)
class Plan:
    """A training on paper. Memory in bytes by part; ``tokens`` in all its steps."""

    parameters: int
    tokens: int
    flops: float
    memory: dict[str, float]
    checkpoint: float

    @property
    def total_memory(self) -> float:
        """Bytes of all parts together."""
        return sum(self.memory.values())


@dataclass(frozen=True)
class Cost:
    """What a plan takes on a machine: seconds, kilowatt-hours, dollars."""

    tokens_per_second: float
    seconds: float
    kwh: float
    dollars: float


def make_plan(model: ModelConfig, train: TrainConfig, half: bool) -> Plan:
    """The plan of training ``model`` as ``train`` says; ``half``: activations in 16 bits."""
    count = sum(sizes.parameters(model).values())
    tokens = train.steps * train.batch * model.context_length
    return Plan(
        parameters=count,
        tokens=tokens,
        flops=tokens * sizes.flops_per_token(model),
        memory=memory(model, train, half),
        checkpoint=4.0 * (count + optimizer_numbers(model, train)),
    )


def memory(model: ModelConfig, train: TrainConfig, half: bool) -> dict[str, float]:
    """Bytes by part at the worst moment of a step."""
    count = sum(sizes.parameters(model).values())
    width = 2.0 if half else 4.0
    rows = min(train.micro_batch or train.batch, train.batch)
    tokens = rows * model.context_length
    head_tokens = min(train.logit_chunk or tokens, tokens)
    per_layer = activations(model, rows) * width
    kept = tokens * model.d_model * width
    layers = model.n_layers
    blocks = layers * kept + per_layer if train.recompute else layers * per_layer
    return {
        "weights": 4.0 * count,
        "gradients": 4.0 * count,
        "optimizer": 4.0 * optimizer_numbers(model, train),
        "activations": blocks + 3 * kept,
        # logits once in the working precision, then in float32: values and gradient
        "logits": head_tokens * model.vocab_size * (width + 8.0),
        "the rest": RESERVE,
    }


def optimizer_numbers(model: ModelConfig, train: TrainConfig) -> float:
    """Numbers an optimizer keeps: two for each weight under Adam, one under Muon."""
    parts = sizes.parameters(model)
    count = sum(parts.values())
    inside = parts["attention"] + parts["feed-forward"]
    return 2 * count - (inside if train.optimizer == "muon" else 0)


def activations(model: ModelConfig, rows: int) -> float:
    """Numbers one block keeps for its backward pass, of ``rows`` sequences.

    What enters each product and each function that isn't linear; attention without the
    scores, which the fused kernel never stores, unless they are written out.
    """
    tokens = rows * model.context_length
    head = sizes.d_head(model)
    queries, keys = model.n_heads * head, model.n_kv_heads * head
    attention = 2 * model.d_model + 2 * (queries + 2 * keys) + queries
    inner = sizes.d_ff(model) * (4 if sizes.gated(model) else 2)
    experts = model.experts.active + model.experts.shared if model.experts else 1
    return tokens * (attention + 2 * model.d_model + experts * inner)


def cost(plan: Plan, flops_per_second: float, machine: Machine, price: float) -> Cost:
    """What ``plan`` takes at ``flops_per_second`` on ``machine`` for ``price`` an hour."""
    seconds = plan.flops / flops_per_second
    hours = seconds / 3600
    return Cost(
        tokens_per_second=plan.tokens / seconds,
        seconds=seconds,
        kwh=hours * machine.watts / 1000,
        dollars=hours * (price or machine.price),
    )


def nearest_fit(
    model: ModelConfig, train: TrainConfig, half: bool, room: float
) -> tuple[dict[str, Any], bool]:
    """The smallest change of settings with which a step fits into ``room`` bytes.

    Returns the changed keys (empty when it fits as it is) and whether it then fits. What
    changes no result is tried first: smaller micro-batches, logits in chunks, blocks that
    forget.
    """
    changes: dict[str, Any] = {}

    def fits(**more: Any) -> bool:
        changed = msgspec.structs.replace(train, **{**changes, **more})
        return sum(memory(model, changed, half).values()) <= room

    if fits():
        return {}, True
    rows = train.micro_batch or train.batch
    smaller = [rows >> n for n in range(1, rows.bit_length())]
    for micro_batch in smaller:
        if fits(micro_batch=micro_batch):
            return {"micro_batch": micro_batch}, True
    changes["micro_batch"] = smaller[-1] if smaller else rows
    for key, value in (("logit_chunk", 1024), ("recompute", True)):
        changes[key] = value
        if fits():
            return changes, True
    return changes, False
