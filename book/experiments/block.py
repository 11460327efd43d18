"""What chapter 6 says about the block: ``python -m book.experiments.block``.

Takes a quarter of a minute on one core. Writes ``book/artifacts/06/*.json``.
"""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from book.experiments.record import record
from book.experiments.small_runs import (
    SHAPE,
    TRAIN,
    batch,
    changed,
    held_out,
    trainer,
    watched,
)
from hornbook.model import sizes
from hornbook.model.attention import attend_plainly
from hornbook.model.config import ExpertsConfig, ModelConfig
from hornbook.model.describe import describe
from hornbook.model.experts import Experts
from hornbook.model.norm import RMSNorm
from hornbook.model.presets import PRESETS
from hornbook.model.transformer import Transformer
from hornbook.train.objective import next_token


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("06/paper.json", paper())
    record("06/stream.json", stream())
    record("06/norm.json", low_precision())
    record("06/experts.json", experts())


# ------------------------------------------------------------------------ counted on paper
def paper() -> dict[str, Any]:
    """GPT-2 124M on paper, and its operations counted by PyTorch as they are dispatched."""
    config = PRESETS["gpt2-124m"]
    facts = describe(config)
    tensors = [
        {
            "name": t.name,
            "shape": list(t.shape),
            "copies": t.copies,
            "all": t.parameters,
        }
        for t in facts.tensors
    ]
    rows = []
    for name in ("gpt2-124m", "llama-110m"):
        shape = PRESETS[name]
        formula = sizes.flops_per_token(shape) * shape.context_length
        rows.append({"name": name, "formula": formula, "counted": _counted(shape)})
    model, seen = config.d_model, config.context_length / 2
    heads = config.n_heads * 2 * sizes.d_head(config) * seen
    parts = {
        "attention's products": 6 * 4 * model * model * config.n_layers,
        "scores and values": 6 * heads * config.n_layers,
        "feed-forward": 6 * 2 * model * sizes.d_ff(config) * config.n_layers,
        "head": 6 * config.vocab_size * model,
    }
    return {
        "tensors": tensors,
        "parts": parts,
        "flops": sizes.flops_per_token(config),
        "rows": rows,
        "by_time": [
            (time, sizes.flops_per_token(config, time))
            for time in (256, 1024, 4096, 16384)
        ],
    }


def _counted(shape: ModelConfig) -> float:
    """Operations of one row, forward and backward, with attention written out in whole."""
    import hornbook.model.attention as module

    usual, module.attend = module.attend, attend_plainly  # type: ignore[assignment]
    try:
        with FakeTensorMode():  # shapes without numbers
            model = Transformer(shape)
            tokens = torch.zeros(1, shape.context_length, dtype=torch.long)
            with FlopCounterMode(display=False) as counter:
                model(tokens).sum().backward()
    finally:
        module.attend = usual
    return float(counter.get_total_flops())


# ---------------------------------------------------------------------------- the stream
def stream() -> dict[str, Any]:
    """The size of the stream and of every layer's gradient before the first step."""
    rows = []
    for place in ("pre", "post", "sandwich"):
        for init in ("gpt2", "mup"):
            torch.manual_seed(4)
            shape = changed(SHAPE, n_layers=16, norm_place=place, init=init)
            model = Transformer(shape)
            sizes_ = watched(model)
            given = batch(0)
            (next_token(model, given).total / given.weight).backward()
            slopes = [_slope(block) for block in model.blocks]
            rows.append(
                {"place": place, "init": init, "stream": sizes_, "gradient": slopes}
            )
    return {"layers": 16, "rows": rows}


def _slope(block: torch.nn.Module) -> float:
    gradients = [
        p.grad for p in block.parameters() if p.grad is not None and p.ndim > 1
    ]
    return sum(float(g.square().sum()) for g in gradients) ** 0.5


def low_precision() -> dict[str, Any]:
    """How far the norm is off when its squares are summed in bfloat16."""
    torch.manual_seed(0)
    rows = []
    for width in (64, 768, 4096):
        x = (3 * torch.randn(500, width)).bfloat16()
        exact = x.double() / x.double().square().mean(-1, keepdim=True).sqrt()
        ours = RMSNorm(width, 1e-6)(x)
        total = torch.zeros(500, 1, dtype=torch.bfloat16)
        for k in range(width):  # one after the other, as a plain kernel would
            total += x[:, k : k + 1] * x[:, k : k + 1]
        plain = x / (total / width).sqrt()

        def off(got: torch.Tensor, want: torch.Tensor = exact) -> float:
            return ((got.double() - want).norm() / want.norm()).item()

        rows.append({"width": width, "ours": off(ours), "plain": off(plain)})
    return {"rows": rows}


# --------------------------------------------------------------------------- the experts
def experts() -> dict[str, Any]:
    """Experts with the balancing loss and without it: who is used, and the loss."""
    count, active, steps = 8, 2, 90
    rows = []
    base = changed(SHAPE, d_model=32, n_heads=1, n_kv_heads=1, n_layers=2)
    for name, balance in (("balanced", 0.01), ("free", 0.0)):
        shape = changed(
            base, experts=ExpertsConfig(count=count, active=active, balance=balance)
        )
        made = trainer(changed(TRAIN, steps=steps), shape)
        for step in range(steps):
            made.step(step, batch(step))
        rows.append(
            {"name": name, "loss": held_out(made.model), "used": _used(made.model)}
        )
    dense = trainer(changed(TRAIN, steps=steps), base)
    for step in range(steps):
        dense.step(step, batch(step))
    sparse = changed(base, experts=ExpertsConfig(count=count, active=active))
    return {
        "count": count,
        "active": active,
        "steps": steps,
        "rows": rows,
        "dense": held_out(dense.model),
        "parameters": sum(sizes.parameters(sparse).values()),
        "met": sizes.active_parameters(sparse),
        "parameters_dense": sum(sizes.parameters(base).values()),
    }


@torch.no_grad()
def _used(model: torch.nn.Module) -> list[list[float]]:
    """Each expert's share of the tokens, by layer, most used first."""
    found: list[list[float]] = []

    def note(module: Experts, inputs: tuple[torch.Tensor], _out: Any) -> None:
        scores = inputs[0].flatten(0, 1) @ module.router.weight.T
        chosen = scores.topk(module.active, -1).indices.flatten()
        counts = torch.bincount(chosen, minlength=len(module.experts)).double()
        found.append(sorted((counts / counts.sum()).tolist(), reverse=True))

    hooks = [
        m.register_forward_hook(note)  # type: ignore[arg-type]
        for m in model.modules()
        if isinstance(m, Experts)
    ]
    model(batch(999, 32).tokens)
    for hook in hooks:
        hook.remove()
    return found


if __name__ == "__main__":
    main()
