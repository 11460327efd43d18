"""What chapter 5 says about attention, measured: ``python -m book.experiments.attention``.

Takes a minute on one core. Writes ``book/artifacts/05/*.json``; the chapter prints them.
"""

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from book.experiments.record import record
from hornbook.model.attention import Sight, attend_plainly
from hornbook.model.blocked import BlockedAttention
from hornbook.model.config import LatentConfig, ModelConfig
from hornbook.model.sizes import cache_shape
from hornbook.model.transformer import Transformer

KEYS, QUERIES = 64, 4000
NAMES, BATCH = 12, 32  # as many values as names; rows of a step
LOOKUP = NAMES * NAMES + NAMES  # tokens: every "name has value", every "name?"
SMALL: dict[str, Any] = {
    "n_layers": 1,
    "d_model": 64,
    "n_heads": 4,
    "n_kv_heads": 4,
    "context_length": 2 * NAMES,
    "position": "none",
    "init": "gpt2",
}
SHAPES: dict[str, dict[str, Any]] = {
    "MHA": {},
    "GQA": {"n_kv_heads": 2},
    "MQA": {"n_kv_heads": 1},
    "MLA": {
        "latent": LatentConfig(rank=16, d_rope=8),
        "qk_norm": False,
        "position": "rope",
    },
    "one head": {"n_heads": 1, "n_kv_heads": 1},
    "unscaled": {"n_heads": 1, "n_kv_heads": 1},
    "window": {"windows": (NAMES // 2,)},
    "no attention": {},
}


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("05/scale.json", {"keys": KEYS, "queries": QUERIES, "rows": scale()})
    record("05/leak.json", leak())
    record("05/recall.json", recall())
    record("05/speed.json", {"heads": 12, "d_head": 64, "rows": speed()})


# ------------------------------------------------------------------ why the square root
def scale() -> list[dict[str, float]]:
    """Softmax of random scores, raw and divided by the root of the width."""
    generator = torch.Generator().manual_seed(5)
    rows = []
    for width in (4, 16, 64, 256, 1024):
        query = torch.randn(QUERIES, 1, width, generator=generator)
        key = torch.randn(QUERIES, KEYS, width, generator=generator)
        scores = (query @ key.mT).squeeze(1)
        row = {"d_head": width, "std": scores.std().item()}
        for name, z in (("raw", scores), ("scaled", scores / width**0.5)):
            p = z.softmax(-1)
            row[f"top_{name}"] = p.max(-1).values.mean().item()
            row[f"entropy_{name}"] = (
                -(p * p.clamp_min(1e-30).log()).sum(-1).mean().item()
            )
            # The trace of the softmax's Jacobian: how much of a gradient comes through.
            row[f"slope_{name}"] = (p * (1 - p)).sum(-1).mean().item()
        rows.append(row)
    return rows


# ------------------------------------------------------------------ a lookup that learns
def recall() -> dict[str, Any]:
    """A row tells the value of every name, then asks for each: can a layer look it up?"""
    rows, picture = [], None
    for name, changes in SHAPES.items():
        model = _model(ModelConfig(**SMALL | {"vocab_size": LOOKUP} | changes))
        if name == "no attention":
            torch.nn.init.zeros_(model.blocks[0].attention.output.weight)
            model.blocks[0].attention.output.requires_grad_(False)
        if name == "unscaled":
            with torch.no_grad():  # the norm's weight undoes the division of the scores
                model.blocks[0].attention.query_norm.weight *= SMALL["d_model"] ** 0.5
        curve = _train(model, _lookups, 400)
        heads, key, value = cache_shape(model.config)
        attention = sum(p.numel() for p in model.blocks[0].attention.parameters())
        row = {"accuracy": _accuracy(model), "loss": curve[-1][1], "curve": curve}
        row |= {"parameters": attention, "cache": heads * (key + value)}
        rows.append({"name": name, **row})
        picture = picture or _picture(model)
    facts = {"names": NAMES, "chance": 1 / NAMES, "shape": SMALL, "steps": 400}
    return {**facts, "rows": rows, **(picture or {})}


def _lookups(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A token for each "name has value" in some order, then one for each "name?"."""

    def shuffled() -> Tensor:
        return torch.rand(BATCH, NAMES, generator=generator).argsort(-1)

    names, asked = shuffled(), shuffled()
    values = torch.randint(NAMES, (BATCH, NAMES), generator=generator)
    told = names * NAMES + values
    answers = values.gather(1, names.argsort(-1).gather(1, asked))
    tokens = torch.cat((told, NAMES * NAMES + asked), 1)
    return tokens, torch.cat((torch.full_like(told, -100), answers), 1)


@torch.no_grad()
def _accuracy(model: Transformer) -> float:
    generator = torch.Generator().manual_seed(99)
    right, count = 0, 0
    for _ in range(8):
        tokens, targets = _lookups(generator)
        asked = targets >= 0
        right += int((model(tokens).argmax(-1) == targets)[asked].sum())
        count += int(asked.sum())
    return right / count


@torch.no_grad()
def _picture(model: Transformer) -> dict[str, Any]:
    """The head that looks hardest at the right place, on the first unseen row."""
    tokens = _lookups(torch.Generator().manual_seed(7))[0][:1]
    weights = _weights(model, tokens)
    told, asked = tokens[0, :NAMES] // NAMES, tokens[0, NAMES:] - NAMES * NAMES
    places = (told[None, :] == asked[:, None]).float().argmax(-1)
    found = weights[:, torch.arange(NAMES, 2 * NAMES), places]  # (heads, asked)
    head = int(found.mean(-1).argmax())
    return {
        "head": head + 1,
        "share": found[head].mean().item(),
        "shares": found.mean(-1).tolist(),
        "tokens": tokens[0].tolist(),
        "map": weights[head].tolist(),
    }


def _weights(model: Transformer, tokens: Tensor) -> Tensor:
    """The first layer's attention weights on one row, (heads, time, time).

    With the unit matrix for values, attention returns its own weights.
    """
    block = model.blocks[0]
    attention = block.attention
    x = block.attention_norm(model.embedding(tokens))
    heads = (1, tokens.shape[1], -1, attention.d_head)
    query = attention.query_norm(attention.query(x).view(heads)).transpose(1, 2)
    key = attention.key_norm(attention.key(x).view(heads)).transpose(1, 2)
    unit = torch.eye(tokens.shape[1]).expand(1, key.shape[1], -1, -1)
    return attend_plainly(query, key, unit, None)[0]


# ------------------------------------------------------------------------------ the mask
def leak() -> dict[str, Any]:
    """A model trained to predict dice, with the causal mask and without it."""
    faces, time = 16, 2 * NAMES

    def dice(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.randint(faces, (BATCH, time + 1), generator=generator)
        return rows[:, :-1], rows[:, 1:]

    everything = {0: torch.ones(1, 1, time, time, dtype=torch.bool)}
    curves = {}
    for name in ("masked", "open"):
        model = _model(
            ModelConfig(**SMALL | {"vocab_size": faces, "position": "learned"})
        )
        if name == "open":
            model.sight = lambda tokens, *_: Sight(None, everything, None, tokens)  # type: ignore[method-assign]
        curves[name] = _train(model, dice, 400)
    return {"faces": faces, "entropy": math.log(faces), "curves": curves}


# --------------------------------------------------------------------- block by block
def speed() -> list[dict[str, Any]]:
    """Milliseconds forward and backward, by type and length: the best of seven."""
    rows = []
    for dtype, length in itertools.product(
        (torch.float32, torch.bfloat16), (128, 256, 512, 1024)
    ):
        generator = torch.Generator().manual_seed(1)
        tensors = [
            torch.randn(1, 12, length, 64, generator=generator).to(dtype)
            for _ in range(3)
        ]
        for tensor in tensors:
            tensor.requires_grad_()
        ways: dict[str, Callable[..., Tensor]] = {
            "plain": lambda q, k, v: attend_plainly(q, k, v, None),
            "blocked": lambda q, k, v: BlockedAttention.apply(q, k, v, None),  # type: ignore
            "fused": lambda q, k, v: F.scaled_dot_product_attention(
                q, k, v, is_causal=True
            ),
        }
        row: dict[str, Any] = {"dtype": str(dtype).removeprefix("torch.")}
        row |= {"time": length, "scores": 12 * length * length}
        for name, way in ways.items():
            row[name] = 1000 * min(_seconds(way, tensors) for _ in range(7))
        rows.append(row)
    return rows


def _seconds(way: Callable[..., Tensor], tensors: list[Tensor]) -> float:
    start = time.perf_counter()
    way(*tensors).sum().backward()
    return time.perf_counter() - start


# --------------------------------------------------------------------------- small models
def _model(config: ModelConfig) -> Transformer:
    torch.manual_seed(3)
    return Transformer(config)


def _train(
    model: Transformer,
    batch: Callable[[torch.Generator], tuple[Tensor, Tensor]],
    steps: int,
) -> list[tuple[int, float]]:
    """AdamW at 3e-3; (step, loss) of every fifth step."""
    generator = torch.Generator().manual_seed(11)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=3e-3, betas=(0.9, 0.95))
    curve = []
    for step in range(steps):
        tokens, targets = batch(generator)
        loss = F.cross_entropy(
            model(tokens).flatten(0, 1), targets.flatten(), ignore_index=-100
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 5 == 0 or step == steps - 1:
            curve.append((step, loss.item()))
    return curve


if __name__ == "__main__":
    main()
