"""What a recipe's pretraining will cost, and what a budget is best spent on."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hornbook.core.errors import UserError
from hornbook.core.files import read_json
from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.recipe import Recipe
from hornbook.train.config import TrainConfig
from hornbook.train.hardware import CPU_WATTS, GPUS, USUAL_MFU, Machine, known_gpu
from hornbook.train.plan import Cost, Plan, cost, make_plan, nearest_fit
from hornbook.train.scaling import PUBLISHED, Law, choose

UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400}
STEP_TOKENS, STEP_ANCHOR = 4096, 4.3e6  # a good step for so many tokens in all (hello)
FAR = (
    10.0  # times the operations of the largest run, beyond which a forecast is a guess
)


@dataclass(frozen=True)
class Outlook:
    """A recipe's training on a machine: what it needs, whether it fits, what it costs.

    ``changes`` are the keys of ``[pretrain]`` to change so that it fits (``fits`` says
    whether that is enough); ``how`` where the speed is from.
    """

    machine: Machine
    plan: Plan
    fits: bool
    changes: dict[str, Any]
    cost: Cost
    how: str


@dataclass(frozen=True)
class Proposal:
    """How to spend a budget: keys to set, the loss expected (nats), and warnings."""

    keys: dict[str, Any]
    parameters: int
    tokens: float
    loss: float
    warnings: list[str]


def shape_of(recipe: Recipe) -> ModelConfig:
    """The recipe's model with the vocabulary its tokenizer is asked for."""
    size = recipe.model.vocab_size or recipe.tokenizer.vocab_size
    return msgspec.structs.replace(recipe.model, vocab_size=size)


def look_ahead(
    recipe: Recipe, device: str, gpu: str | None, price: float, seconds: float
) -> Outlook:
    """The outlook on ``gpu`` by the table, or on this machine by a probe of ``seconds``."""
    shape, train = shape_of(recipe), recipe.pretrain
    machine = table_gpu(gpu) if gpu else this_machine(device)
    half = bool(gpu) or _half_here(train, device)
    changes, fits = nearest_fit(shape, train, half, 0.95 * machine.memory)
    fitting = msgspec.structs.replace(train, **changes)
    plan = make_plan(shape, fitting, half)
    if gpu or not fits:
        speed = machine.peak * USUAL_MFU
        how = f"assuming {USUAL_MFU:.0%} of the peak of the table"
    else:
        from hornbook.train.probe import probe

        measured = probe(shape, fitting, device, seconds)
        speed, how = measured.flops_per_second, f"measured here: {measured.why}"
    return Outlook(
        machine, plan, fits, changes, cost(plan, speed or 1.0, machine, price), how
    )


def table_gpu(name: str) -> Machine:
    """The GPU called ``name`` in the table; :class:`UserError` names those there are."""
    gpu = known_gpu(name)
    if gpu is None:
        known = ", ".join(gpu.name for gpu in GPUS.values())
        raise UserError(f"There is no GPU '{name}' in the table; it has {known}.")
    return gpu


def this_machine(device: str) -> Machine:
    """What is known of the machine this runs on."""
    from hornbook.train.backend import choose_device

    if choose_device(device)[0].type == "cuda":
        import torch

        found = torch.cuda.get_device_properties(0)
        known = known_gpu(found.name)
        watts, price = (known.watts, known.price) if known else (300.0, 0.0)
        peak = known.peak if known else 0.0
        return Machine(found.name, peak, found.total_memory, watts, price)
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    from hornbook.train.hardware import measured_peak

    peak = measured_peak("float32") / USUAL_MFU  # of use only where no probe fits
    return Machine(f"this machine's {cores} cores", peak, memory, CPU_WATTS * cores)


def _half_here(train: TrainConfig, device: str) -> bool:
    import torch

    from hornbook.train.backend import choose_backend

    return choose_backend(train, device).precision != torch.float32


# ------------------------------------------------------------------------------- budgets


def parse_budget(text: str) -> tuple[str, float]:
    """``10min``, ``2h``, ``1.5d`` -> ("seconds", n); ``$20`` -> ("dollars", 20.0)."""
    money = re.fullmatch(r"\$\s*(\d+(?:\.\d+)?)", text.strip())
    if money and float(money.group(1)) > 0:
        return "dollars", float(money.group(1))
    time = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|sec|min|h|d)", text.strip())
    if time and float(time.group(1)) > 0:
        return "seconds", float(time.group(1)) * UNITS[time.group(2)]
    raise UserError(
        f"A budget is a time or a sum, like 10min, 2h or $20, not '{text}'."
    )


def seconds_of(budget: str, machine: Machine, price: float) -> float:
    """How long ``budget`` lasts on ``machine``; ``price`` is dollars an hour, 0: as known."""
    kind, amount = parse_budget(budget)
    if kind == "seconds":
        return amount
    hourly = price or machine.price
    if not hourly:
        raise UserError(
            f"What {machine.name} costs is not known; give it with --price."
        )
    return amount / hourly * 3600


def ladder(shape: ModelConfig) -> list[ModelConfig]:
    """Shapes of many sizes, alike but for width and depth, smallest first."""
    ratio = shape.n_heads // shape.n_kv_heads
    shapes = []
    for heads in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32):
        shapes.append(
            msgspec.structs.replace(
                shape,
                d_model=64 * heads,
                n_heads=heads,
                n_kv_heads=heads // ratio if heads % ratio == 0 else heads,
                n_layers=max(2, heads if heads <= 12 else 12 + (heads - 12) // 2),
                d_head=0,
                d_ff=0,
            )
        )
    return shapes


def size_in_law(shape: ModelConfig) -> float:
    """The parameters that a law counts: those that cost operations for each token.

    A sixth of the operations per token, so that operations are 6 times this times tokens.
    """
    return sizes.flops_per_token(shape) / 6


def propose(
    recipe: Recipe, seconds: float, speed: float, law: Law, unique: float = 0.0
) -> Proposal:
    """The shape, length, batch and rate of the lowest expected loss for ``seconds``.

    ``speed`` in operations per second; ``unique`` how many different tokens there are.
    """
    shapes = ladder(shape_of(recipe))
    numbers = [size_in_law(shape) for shape in shapes]
    best = choose(law, numbers, lambda i: seconds * speed / (6 * numbers[i]), unique)
    shape, train = shapes[best.index], recipe.pretrain
    wanted = STEP_TOKENS * (best.tokens / STEP_ANCHOR) ** 0.5
    rows = max(4, round(wanted / shape.context_length))
    steps = max(1, round(best.tokens / rows / shape.context_length))
    keys: dict[str, Any] = {
        "model.n_layers": shape.n_layers,
        "model.d_model": shape.d_model,
        "model.n_heads": shape.n_heads,
        "model.n_kv_heads": shape.n_kv_heads,
        "model.d_ff": 0,
        "model.d_head": 0,
        "pretrain.steps": steps,
        "pretrain.batch": rows,
    }
    keys |= _rates(train, rows / train.batch, shape.d_model / recipe.model.d_model)
    warnings = _warnings(law, numbers, best.index, best.tokens, steps, unique)
    count = sum(sizes.parameters(shape).values())
    return Proposal(keys, count, best.tokens, best.loss, warnings)


def _rates(train: TrainConfig, batch: float, width: float) -> dict[str, float]:
    """Learning rates by the root of the batch; AdamW's also by the inverse of the width.

    Muon's updates have the same size in every matrix, so its rate doesn't know the width.
    """
    factor = min(max(batch**0.5, 0.5), 2.0)
    if train.optimizer == "adamw":
        factor /= max(width, 0.1)
        return {"pretrain.learning_rate": _short(train.learning_rate * factor)}
    names = ("learning_rate", "embedding_rate", "head_rate")
    return {f"pretrain.{n}": _short(getattr(train, n) * factor) for n in names}


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _warnings(
    law: Law,
    numbers: list[float],
    index: int,
    tokens: float,
    steps: int,
    unique: float,
) -> list[str]:
    found = []
    if law == PUBLISHED:
        found.append(
            "The law is a published one, of English web text: right about what to spend "
            "where, not about the loss. `hornbook scale` fits one to this text."
        )
    elif law.reach(numbers[index], tokens) > FAR:
        found.append(
            f"This is {law.reach(numbers[index], tokens):.0f} times the operations of the "
            "largest run the law was fitted to: the loss is a guess."
        )
    if index == len(numbers) - 1:
        found.append(
            "The largest shape on the ladder was chosen; a larger may be better."
        )
    if unique and tokens > 4 * unique:
        found.append(
            f"That is {tokens / unique:.0f} passes over the same text; more text would help."
        )
    if steps < 100:
        found.append(f"{steps} steps are few; the forecast is rough.")
    return found


def known_law(run: Path) -> Law:
    """The law that `hornbook scale` left in ``run``, or the published one."""
    path = run / "scale" / "law.json"
    return Law(**read_json(path)["law"]) if path.exists() else PUBLISHED


def unique_tokens(run: Path) -> float:
    """Training tokens of ``run``'s shards; 0 when there are none yet."""
    path = run / "shards" / "train" / "index.json"
    return float(read_json(path)["tokens"]) if path.exists() else 0.0


def budget_outlook(
    recipe: Recipe,
    budget: str,
    run: Path,
    device: str,
    gpu: str | None,
    price: float,
    seconds: float,
) -> tuple[Proposal, str]:
    """The proposal for ``budget``, and how the speed was found.

    On this machine the speed depends on the size: the proposal is probed itself and made
    again with what was measured.
    """
    machine = table_gpu(gpu) if gpu else this_machine(device)
    lasts = seconds_of(budget, machine, price)
    law, unique = known_law(run), unique_tokens(run)
    if gpu:
        speed = machine.peak * USUAL_MFU
        how = f"{USUAL_MFU:.0%} of the peak of {machine.name}"
        return propose(recipe, lasts, speed, law, unique), how
    from hornbook.train.probe import probe

    speed = probe(shape_of(recipe), recipe.pretrain, device, seconds / 3)
    proposal = propose(recipe, lasts, speed.flops_per_second, law, unique)
    for _ in range(2):
        changed = apply(recipe, proposal)
        speed = probe(shape_of(changed), changed.pretrain, device, seconds / 3)
        proposal = propose(recipe, lasts, speed.flops_per_second, law, unique)
    return proposal, f"measured here: {speed.why}"


def apply(recipe: Recipe, proposal: Proposal) -> Recipe:
    """``recipe`` with the keys of ``proposal``."""
    tables: dict[str, dict[str, Any]] = {"model": {}, "pretrain": {}}
    for key, value in proposal.keys.items():
        table, _, name = key.partition(".")
        tables[table][name] = value
    return msgspec.structs.replace(
        recipe,
        **{
            t: msgspec.structs.replace(getattr(recipe, t), **k)
            for t, k in tables.items()
        },
    )
