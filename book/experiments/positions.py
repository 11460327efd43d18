"""What chapter 4 says about positions, measured: ``python -m book.experiments.positions``.

Trains five small models on Python's own library, byte by byte, and reads rows four times as
long as they were trained on. A minute on one core.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from book.experiments.record import record
from hornbook.model.config import ModelConfig, RopeScaling
from hornbook.model.rope import frequencies
from hornbook.model.transformer import Transformer

SHORT, LONG = 64, 256  # bytes in a training row, and in one that is read afterwards
STEPS, ROWS = 500, 16
SMALL: dict[str, Any] = {
    "n_layers": 2,
    "d_model": 64,
    "n_heads": 4,
    "n_kv_heads": 4,
    "vocab_size": 256,
    "context_length": LONG,
}
KINDS = ("rope", "alibi", "learned", "sinusoidal", "none")
SCALED = ("linear", "ntk", "yarn")
WIDTH, BASE = 64, 10_000.0


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("04/speeds.json", speeds())
    record("04/near.json", near())
    record("04/lengths.json", lengths())


def speeds() -> dict[str, Any]:
    """How much of its speed each pair keeps when the context grows eightfold."""
    curves: dict[str, list[float]] = {}
    plain, _ = frequencies(WIDTH, BASE, None)
    for kind in ("linear", "ntk", "llama3", "yarn"):
        scaling = RopeScaling(kind=kind, factor=8.0, original=4096)
        scaled, _ = frequencies(WIDTH, BASE, scaling)
        curves[kind] = (scaled / plain).tolist()
    turns = (4096 * plain / (2 * math.pi)).tolist()
    return {
        "width": WIDTH,
        "base": BASE,
        "original": 4096,
        "factor": 8,
        "turns": turns,
        "share": curves,
    }


def near() -> dict[str, Any]:
    """The score of a query with a key just like it, by distance: the mean of all cosines."""
    curves = {}
    for base in (100.0, 10_000.0, 500_000.0):
        plain, _ = frequencies(WIDTH, base, None)
        distances = list(range(16)) + list(range(16, 1024, 8))
        values = torch.outer(torch.tensor(distances, dtype=torch.float64), plain).cos()
        curves[str(int(base))] = list(
            zip(distances, values.mean(-1).tolist(), strict=True)
        )
    return {"width": WIDTH, "curves": curves}


@dataclass
class Text:
    """Bytes to learn from, and others."""

    learn: Tensor
    held: Tensor


def lengths() -> dict[str, Any]:
    """Loss by place in the row, for rows four times as long as those trained on."""
    text = _library()
    curves, means = {}, []
    for kind in KINDS:
        model = _trained(ModelConfig(**SMALL, position=kind), text)
        curves[kind] = _by_place(model, text)
        means.append(_mean(kind, curves[kind]))
        if kind == "rope":
            for scaled in SCALED:
                scaling = RopeScaling(kind=scaled, factor=LONG / SHORT, original=SHORT)
                other = Transformer(
                    msgspec.structs.replace(model.config, rope_scaling=scaling)
                )
                other.load_state_dict(model.state_dict())
                curves[scaled] = _by_place(other, text)
                means.append(_mean(scaled, curves[scaled]))
    return {
        "short": SHORT,
        "long": LONG,
        "steps": STEPS,
        "rows": ROWS,
        "means": means,
        "curves": curves,
    }


def _library() -> Text:
    folder = Path(argparse.__file__).parent
    names = sorted(p for p in folder.glob("*.py") if not p.name.startswith("_"))
    texts = [path.read_bytes() for path in names]
    held = b"".join(texts[::10])
    learn = b"".join(t for k, t in enumerate(texts) if k % 10)
    return Text(
        *(
            torch.frombuffer(bytearray(t), dtype=torch.uint8).long()
            for t in (learn, held)
        )
    )


def _rows(text: Tensor, length: int, count: int, generator: torch.Generator) -> Tensor:
    starts = torch.randint(len(text) - length - 1, (count,), generator=generator)
    return text[starts[:, None] + torch.arange(length + 1)]


def _trained(config: ModelConfig, text: Text) -> Transformer:
    torch.manual_seed(3)
    model, generator = Transformer(config), torch.Generator().manual_seed(11)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 50, (STEPS - step) / 200)
        rows = _rows(text.learn, SHORT, ROWS, generator)
        logits = model(rows[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@torch.no_grad()
def _by_place(
    model: Transformer, text: Text, bucket: int = 16
) -> list[tuple[int, float]]:
    """(place, bits) in buckets of places, over 96 held-out rows."""
    generator = torch.Generator().manual_seed(99)
    total = torch.zeros(LONG)
    for _ in range(6):
        rows = _rows(text.held, LONG, 16, generator)
        logits = model(rows[:, :-1])
        cost = F.cross_entropy(
            logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none"
        )
        total += cost.view(16, LONG).mean(0) / 6 / math.log(2)
    means = total.view(-1, bucket).mean(-1).tolist()
    return [(bucket * k + bucket // 2, mean) for k, mean in enumerate(means)]


def _mean(kind: str, curve: list[tuple[int, float]]) -> dict[str, Any]:
    def over(keep: Callable[[int], bool]) -> float:
        chosen = [bits for place, bits in curve if keep(place)]
        return sum(chosen) / len(chosen)

    return {
        "kind": kind,
        "inside": over(lambda place: 32 <= place < SHORT),
        "beyond": over(lambda place: place >= SHORT),
        "end": over(lambda place: place >= LONG - 64),
    }


if __name__ == "__main__":
    main()
