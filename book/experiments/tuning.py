"""The measurements of chapter 11: what is trained, what is forgotten, what is wasted.

    python -m book.experiments.tuning

A tiny model answers questions such as "+dog" (on from the last letter to the next vowel:
"hi") and "-dog" (back: "fe"). Conversations, packing, adapters and the engine are
Hornbook's own.
"""

import copy
import math
import random
import string
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from book.experiments.record import record
from hornbook.align.config import LoRAConfig
from hornbook.align.lora import LoRALinear, adapters, add_lora, merged
from hornbook.align.messages import Conversation, assistant, user
from hornbook.align.sft import PackedRows, SFTBatches, pack
from hornbook.data.batch import IGNORE
from hornbook.data.packing import pack_rows
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.chat import render_chat
from hornbook.tokenizer.simple import PieceTokenizer

LETTERS = string.ascii_lowercase
TOKENIZER = PieceTokenizer("char", LETTERS + "+-")
CONTEXT, ROWS, ASKED = 64, 8, 200
SHAPE = ModelConfig(
    n_layers=1,
    d_model=64,
    n_heads=4,
    n_kv_heads=4,
    context_length=CONTEXT,
    vocab_size=TOKENIZER.vocab_size,
    init="gpt2",
)


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("11/packing.json", packing())
    record("11/rank.json", rank())
    base, facts = masks()
    record("11/masks.json", facts)
    record("11/forgetting.json", forgetting(base))


# --------------------------------------------------------------------------------- packing
def packing() -> dict[str, Any]:
    """Places that hold padding, for conversations whose lengths are log-normal."""
    chance = random.Random(1)
    lengths = [
        min(1024, max(8, int(chance.lognormvariate(5.0, 0.9)))) for _ in range(4000)
    ]
    rows = []
    for batch in (1, 8, 32):
        parts = [lengths[i : i + batch] for i in range(0, len(lengths), batch)]
        rows.append(
            _wasted(
                f"padded, {batch} a batch", lengths, sum(len(p) * max(p) for p in parts)
            )
        )
    like = sorted(lengths)
    parts = [like[i : i + 32] for i in range(0, len(like), 32)]
    rows.append(
        _wasted(
            "padded, like lengths together",
            lengths,
            sum(len(p) * max(p) for p in parts),
        )
    )
    places, room = 0, 0
    for length in lengths:  # one after the other, a new row when the next does not fit
        if length > room:
            places, room = places + 1024, 1024
        room -= length
    rows.append(_wasted("packed as they come", lengths, places))
    rows.append(
        _wasted("packed, looking ahead", lengths, 1024 * len(pack_rows(lengths, 1024)))
    )
    mean = sum(lengths) / len(lengths)
    return {"conversations": len(lengths), "context": 1024, "mean": mean, "rows": rows}


def _wasted(name: str, lengths: list[int], places: int) -> dict[str, Any]:
    return {"name": name, "places": places, "waste": 1 - sum(lengths) / places}


# ----------------------------------------------------------------------------- what is rank
def rank() -> dict[str, Any]:
    """How near a LoRA layer comes to a change of known spectrum, and the nearest possible."""
    torch.manual_seed(2)
    size = 64
    left, right = (torch.linalg.qr(torch.randn(size, size))[0] for _ in range(2))
    spectrum = torch.arange(1, size + 1) ** -1.0
    change = left @ torch.diag(spectrum) @ right.T
    base = nn.Linear(size, size, bias=False)
    wanted = base.weight.detach() + change
    rows = []
    for r in (1, 2, 4, 8, 16, 32):
        torch.manual_seed(3)
        layer = LoRALinear(copy.deepcopy(base), LoRAConfig(rank=r, alpha=2.0 * r))
        optimizer = torch.optim.Adam([layer.down, layer.up], lr=0.01)
        for step in range(800):
            optimizer.param_groups[0]["lr"] = 0.01 * (1 - step / 800)
            x = torch.randn(128, size)
            loss = F.mse_loss(layer(x), x @ wanted.T)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        left_over = (wanted - layer.weight().detach()).norm() / change.norm()
        rows.append(
            {
                "rank": r,
                "parameters": 2 * size * r,
                "trained": left_over.item(),
                "best": (spectrum[r:].norm() / spectrum.norm()).item(),
            }
        )
    return {"size": size, "rows": rows}


# ----------------------------------------------------------------------- what carries a loss
def words(count: int, seed: int) -> list[str]:
    """Different words of two to six letters."""
    chance, found = random.Random(seed), set()
    while len(found) < count:
        found.add("".join(chance.choices(LETTERS, k=chance.randint(2, 6))))
    return sorted(found)


WORDS = words(4000, 5)
TRAIN, TEST = WORDS[::2], WORDS[1::20][:ASKED]


def walk(word: str, sign: str) -> str:
    """From the word's last letter on to the next vowel, or back to the one before."""
    step, found = (1 if sign == "+" else -1), word[-1]
    while True:
        found += LETTERS[(LETTERS.index(found[-1]) + step) % 26]
        if found[-1] in "aeiou":
            return found[1:]


def rows_of(sign: str) -> PackedRows:
    """All training words as conversations, packed."""
    chats = [
        Conversation([user(sign + word), assistant(walk(word, sign))]) for word in TRAIN
    ]
    return pack(chats, TOKENIZER, CONTEXT)


def masks() -> tuple[Transformer, dict[str, Any]]:
    """Loss on the answers, on everything, on answers without their end."""
    rows = rows_of("+")
    following = np.roll(rows.tokens, -1, 1)
    same = (np.roll(rows.segments, -1, 1) == rows.segments) & (rows.segments > 0)
    same[:, -1] = False
    # The last target of a conversation is its <|end|>, which is in no row's inputs.
    everything = np.where(same, following, rows.targets)
    end = TOKENIZER.special["<|end|>"]
    endless = np.where(rows.targets == end, IGNORE, rows.targets)
    found, base = [], None
    for name, targets in (
        ("answers", rows.targets),
        ("everything", everything),
        ("answers without their end", endless),
    ):
        model = _new()
        _train(model, replace(rows, targets=targets), 240, 5e-3)
        base = base or model
        found.append(
            {"name": name, "targets": int((targets != IGNORE).sum())} | _ask(model, "+")
        )
    assert base is not None
    shape = {
        "conversations": rows.conversations,
        "rows": len(rows.tokens),
        "asked": ASKED,
    }
    return base, {**shape, "waste": rows.waste, "variants": found}


def forgetting(base: Transformer) -> dict[str, Any]:
    """Learning "-" after "+": the whole model, or adapters of several ranks."""
    rows = rows_of("-")
    found = [{"name": "before", "trained": 0} | _both(base)]
    whole = copy.deepcopy(base)
    _train(whole, rows, 80, 2e-3)
    found.append({"name": "all weights", "trained": _count(whole)} | _both(whole))
    for r in (1, 4, 16):
        model = copy.deepcopy(base)
        add_lora(model, LoRAConfig(rank=r, alpha=2.0 * r))
        _train(model, rows, 80, 1e-2)
        small = sum(a.down.numel() + a.up.numel() for a in adapters(model).values())
        found.append(
            {"name": f"adapters, rank {r}", "trained": small} | _both(merged(model))
        )
    return {"steps": 80, "rows": found}


def _new() -> Transformer:
    torch.manual_seed(7)
    return Transformer(SHAPE)


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _train(model: Transformer, rows: PackedRows, steps: int, rate: float) -> None:
    """AdamW with a linear decay, on what has a target."""
    batches = SFTBatches(rows, ROWS, seed=1)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
    model.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min(1, 2 * (1 - step / steps))
        batch = batches(step)
        logits = model(batch.tokens, segments=batch.segments)
        loss = F.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def _ask(model: Transformer, sign: str) -> dict[str, float]:
    """Greedy answers to held-out words: how many are right, how many end by themselves."""
    prompts = [
        render_chat(
            TOKENIZER, [user(sign + word)], add_generation_prompt=True
        ).ids.tolist()
        for word in TEST
    ]
    engine = Engine(model, TOKENIZER, max_rows=50, compiled=False)
    answers = engine.generate(prompts, SamplingConfig(temperature=0, max_tokens=12))
    wanted = [walk(word, sign) for word in TEST]
    pairs = list(zip(answers, wanted, strict=True))
    return {
        "right": _share(pairs, lambda a, w: a.text == w and a.finish_reason == "stop"),
        "begins": _share(pairs, lambda a, w: a.text.startswith(w)),
        "ends": _share(pairs, lambda a, w: a.finish_reason == "stop"),
        "length": sum(len(a.ids) for a, _ in pairs) / len(pairs),
    }


def _both(model: Transformer) -> dict[str, float]:
    return {f"{sign}right": _ask(model, sign)["right"] for sign in "+-"}


def _share(pairs: list, holds: Callable[[Any, str], bool]) -> float:
    return math.fsum(holds(a, w) for a, w in pairs) / len(pairs)


if __name__ == "__main__":
    main()
