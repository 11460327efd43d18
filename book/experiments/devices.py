"""What chapter 10 says about many devices: ``python -m book.experiments.devices``.

Closed forms on real shapes, schedules laid out step by step, and three splits of real modules
compared with the whole. Some seconds on one core; writes ``book/artifacts/10/devices.json``.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from book.experiments.record import record
from hornbook.model import sizes
from hornbook.model.attention import attend_plainly
from hornbook.model.config import ModelConfig
from hornbook.model.feedforward import GatedFeedForward
from hornbook.model.presets import preset
from hornbook.model.transformer import Transformer
from hornbook.train.hardware import GPUS, USUAL_MFU

NAMES = ("gpt2-124m", "llama-1b", "llama-8b")
RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
INSIDE, BETWEEN = (
    300e9,
    50e9,
)  # bytes a second to one GPU: within a machine, and between
SMALL: dict[str, Any] = {
    "n_layers": 2,
    "d_model": 32,
    "n_heads": 4,
    "n_kv_heads": 4,
    "context_length": 16,
    "vocab_size": 50,
}


def main() -> None:
    """Everything into one file."""
    torch.set_num_threads(1)
    gpu = GPUS["h100"]
    speed = gpu.peak * USUAL_MFU
    record(
        "10/devices.json",
        {
            "gpu": gpu.name,
            "speed": speed,
            "memory": gpu.memory,
            "inside": INSIDE,
            "between": BETWEEN,
            "sharing": {name: sharing(name) for name in NAMES},
            "shapes": {name: numbers(name) for name in NAMES},
            "hidden": {
                way: [(n, share_of_time(b, n, speed)) for n in TOKENS]
                for way, b in (("inside", INSIDE), ("between", BETWEEN))
            },
            "tensor": {
                way: [(t, tensor_share(4096, t, b, speed)) for t in (2, 4, 8, 16)]
                for way, b in (("inside", INSIDE), ("between", BETWEEN))
            },
            "pipelines": {
                "gpipe": pipeline(4, 8, 8),
                "1f1b": pipeline(4, 8, 4),
            },
            "bubbles": {
                str(stages): [
                    (m, (stages - 1) / (m + stages - 1)) for m in (1, 2, 4, 8, 16, 32)
                ]
                for stages in (2, 4, 8)
            },
            "splits": splits(),
            "uneven": uneven(),
        },
    )


TOKENS = tuple(1024 * n for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32))


def numbers(name: str) -> dict[str, Any]:
    """A preset's parameters and the width of its keys and values."""
    config = preset(name)
    heads, key, value = sizes.cache_shape(config)
    return {
        "parameters": sum(sizes.parameters(config).values()),
        "d_model": config.d_model,
        "d_kv": heads * max(key, value),
        "n_layers": config.n_layers,
    }


def sharing(name: str) -> dict[str, list[tuple[int, float]]]:
    """Bytes of weights, gradients and Adam's state on each rank, by what is split."""
    count = sum(sizes.parameters(preset(name)).values())
    return {
        "copies": [(n, 16.0 * count) for n in RANKS],
        "optimizer": [(n, (8 + 8 / n) * count) for n in RANKS],
        "gradients": [(n, (4 + 12 / n) * count) for n in RANKS],
        "weights": [(n, 16.0 * count / n) for n in RANKS],
    }


def share_of_time(bandwidth: float, tokens: int, speed: float) -> float:
    """Time to sum bfloat16 gradients over many, as a share of that to compute them."""
    return (4 / bandwidth) / (6 * tokens / speed)


def tensor_share(width: int, ranks: int, bandwidth: float, speed: float) -> float:
    """Time of tensor parallelism's messages over that of a block's products."""
    return 2 / 9 * (ranks - 1) * speed / (width * bandwidth)


def pipeline(stages: int, micro: int, most: int) -> dict[str, Any]:
    """Who does what when; a stage begins no forward with ``most`` - its place under way.

    A forward takes one unit, a backward two. ``most`` = ``micro`` is GPipe (all forwards
    come first); ``most`` = ``stages`` is 1F1B, where backward goes before forward.
    """
    gpipe = most >= micro
    forward = [[-1.0] * micro for _ in range(stages)]
    backward = [[-1.0] * micro for _ in range(stages)]
    free, done = [0.0] * stages, [[0, 0] for _ in range(stages)]
    bars, held = [], [0] * stages
    while any(back < micro for _, back in done):
        choices = []
        for s in range(stages):
            ahead, back = done[s]
            room = micro if gpipe else most - s
            if ahead < micro and ahead - back < room:
                ready = 0.0 if s == 0 else forward[s - 1][ahead]
                if ready >= 0:
                    choices.append((max(free[s], ready), 1, s))
            if back < ahead and (not gpipe or ahead == micro):
                ready = forward[s][back] if s == stages - 1 else backward[s + 1][back]
                if ready >= 0:
                    choices.append((max(free[s], ready), 0, s))
        start, kind, s = min(choices)
        number = done[s][0 if kind else 1]
        end = start + (1 if kind else 2)
        (forward if kind else backward)[s][number] = free[s] = end
        done[s][0 if kind else 1] += 1
        held[s] = max(held[s], done[s][0] - done[s][1])
        bars.append([s, kind, number, start, end])
    total = max(free)
    return {"bars": bars, "total": total, "idle": 1 - 3 * micro / total, "held": held}


# ------------------------------------------------------------------- splits of real modules


@torch.no_grad()
def splits() -> dict[str, float]:
    """The largest difference between a split and the whole, in float64."""
    torch.manual_seed(0)
    config = ModelConfig(**SMALL)
    layer = GatedFeedForward(config).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(3, 5, config.d_model, dtype=torch.float64)
    query, key, value = torch.randn(3, 1, 4, 24, 8, dtype=torch.float64)
    return {
        "feed-forward": float((layer(x) - by_columns_then_rows(layer, x)).abs().max()),
        "attention": float(
            (
                attend_plainly(query, key, value, None)
                - by_places(query, key, value, parts=3)
            )
            .abs()
            .max()
        ),
    }


def by_columns_then_rows(layer: GatedFeedForward, x: Tensor) -> Tensor:
    """The layer on two ranks: half of the inner width each, and one sum at the end."""
    half = layer.down.in_features // 2
    total = torch.zeros_like(x)
    for part in (slice(0, half), slice(half, None)):
        inner = F.silu(x @ layer.gate.weight[part].T) * (x @ layer.up.weight[part].T)
        total += inner @ layer.down.weight[:, part].T
    return total


def by_places(query: Tensor, key: Tensor, value: Tensor, parts: int) -> Tensor:
    """Attention whose keys lie on several ranks: what each finds is merged (chapter 5)."""
    time = query.shape[2]
    hidden = torch.ones(time, time).triu(1).bool()
    scores = (query @ key.transpose(-1, -2)) / query.shape[-1] ** 0.5
    scores = scores.masked_fill(hidden, float("-inf"))
    top = torch.full((*scores.shape[:-1], 1), float("-inf"), dtype=scores.dtype)
    total, mixed = torch.zeros_like(top), torch.zeros_like(query)
    for here in torch.arange(time).chunk(parts):
        mine = scores[..., here]
        both = torch.maximum(top, mine.amax(-1, keepdim=True))
        shares, before = (mine - both).exp(), (top - both).exp()
        total = before * total + shares.sum(-1, keepdim=True)
        mixed = before * mixed + shares @ value[:, :, here]
        top = both
    return mixed / total


def uneven() -> dict[str, float]:
    """Gradients of two ranks of unequal numbers of tokens, put together in two ways."""
    torch.manual_seed(1)
    model = Transformer(ModelConfig(**SMALL)).double()
    tokens = torch.randint(50, (4, 17))
    weights = torch.ones(4, 16, dtype=torch.float64)
    weights[0, 4:] = weights[1, 3:] = 0  # the first rank's rows have short answers

    def gradient(rows: slice, divisor: float) -> Tensor:
        model.zero_grad()
        logits = model(tokens[rows, :-1])
        losses = F.cross_entropy(
            logits.flatten(0, 1), tokens[rows, 1:].flatten(), reduction="none"
        )
        ((losses * weights[rows].flatten()).sum() / divisor).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])  # type: ignore

    whole, first, second = slice(0, 4), slice(0, 2), slice(2, 4)
    count = float(weights.sum())
    want = gradient(whole, count)
    summed = gradient(first, count) + gradient(second, count)
    means = [gradient(part, float(weights[part].sum())) for part in (first, second)]
    size = float(want.norm())
    return {
        "first": float(weights[first].sum()),
        "second": float(weights[second].sum()),
        "summed": float((summed - want).norm()) / size,
        "averaged": float(((means[0] + means[1]) / 2 - want).norm()) / size,
    }


if __name__ == "__main__":
    main()
