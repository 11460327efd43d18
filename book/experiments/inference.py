"""The measurements of chapter 14, made by the engine itself.

    python -m book.experiments.inference

Nothing here is timed: what is counted are tokens, steps, pages and errors, so the files
come out the same on every machine. Speeds are those of ``bench/infer.py``.
"""

import math
import random
from typing import Any

import torch
from torch import Tensor

from book.experiments.record import record
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.infer.kvcache import KVCache
from hornbook.infer.pages import PAGE
from hornbook.infer.quant.calibrate import gptq
from hornbook.infer.quant.codes import Codes, quantize
from hornbook.infer.sampling import probabilities, sample, uniform
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.simple import PieceTokenizer

VOCABULARY, DRAWS = 2000, 4000
ROWS, REQUESTS = 8, 32
TINY: dict[str, Any] = {
    "n_layers": 1,
    "d_model": 32,
    "n_heads": 2,
    "n_kv_heads": 2,
    "context_length": 256,
}


def main() -> None:
    """Every experiment, and the file of each."""
    torch.set_num_threads(1)
    record("14/choosing.json", choosing())
    record("14/guessing.json", guessing())
    record("14/batching.json", batching())
    record("14/pages.json", pages())
    record("14/rounding.json", {"outliers": outliers(), "gptq": made_up()})


# ----------------------------------------------------------------------- choosing a token
def choosing() -> dict[str, Any]:
    """What each setting keeps of a sharp and of a flat distribution over the same tokens."""
    ranks = torch.arange(1, VOCABULARY + 1, dtype=torch.float32)
    shapes = {"sharp": -2.5 * ranks.log(), "flat": -0.9 * ranks.log()}
    settings = {
        "none": SamplingConfig(temperature=1.0),
        "temperature 0.7": SamplingConfig(temperature=0.7),
        "temperature 1.3": SamplingConfig(temperature=1.3),
        "top_k 50": SamplingConfig(temperature=1.0, top_k=50),
        "top_p 0.9": SamplingConfig(temperature=1.0, top_p=0.9),
        "min_p 0.05": SamplingConfig(temperature=1.0, min_p=0.05),
    }
    rows = []
    for name, setting in settings.items():
        row: dict[str, Any] = {"name": name}
        for shape, logits in shapes.items():
            p = probabilities(logits[None], setting)[0].double()
            kept = p[p > 0]
            row[shape] = {
                "kept": len(kept),
                "first": p[0].item(),
                "entropy": -(kept * kept.log()).sum().item(),
            }
        rows.append(row)
    return {"vocabulary": VOCABULARY, "rows": rows}


# ------------------------------------------------------------------------- guessing ahead
def guessing() -> dict[str, Any]:
    """How often two models choose alike with one draw, and the most that is possible."""
    generator = torch.Generator().manual_seed(1)
    big = 3.0 * torch.randn(VOCABULARY, generator=generator)
    noise = torch.randn(VOCABULARY, generator=generator)
    draws = [uniform(5, 0, n) for n in range(DRAWS)]
    others = [uniform(6, 0, n) for n in range(DRAWS)]
    gumbel = -torch.empty(DRAWS, VOCABULARY).exponential_(generator=generator).log()
    rows = []
    for size in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6):
        pair = torch.stack((big, big + size * noise))
        for temperature in (1.0, 0.5):
            plain = SamplingConfig(temperature=temperature)
            p, q = probabilities(pair, plain).double()
            distance = 0.5 * (p - q).abs().sum().item()
            mine = _many(pair[0], draws, plain)
            rows.append(
                {
                    "noise": size,
                    "temperature": temperature,
                    "distance": distance,
                    "shared": _share(mine, _many(pair[1], draws, plain)),
                    "gumbel": _share(
                        (pair[0] / temperature + gumbel).argmax(1),
                        (pair[1] / temperature + gumbel).argmax(1),
                    ),
                    "apart": _share(mine, _many(pair[1], others, plain)),
                }
            )
    p = probabilities(big[None], SamplingConfig(temperature=1.0))[0].double()
    entropy = -(p * p.log()).sum().item()
    return {"vocabulary": VOCABULARY, "draws": DRAWS, "entropy": entropy, "rows": rows}


def _many(logits: Tensor, draws: list[float], setting: SamplingConfig) -> Tensor:
    tokens = []
    for start in range(0, len(draws), 500):
        part = draws[start : start + 500]
        tokens += sample(logits.expand(len(part), -1), part, setting)
    return torch.tensor(tokens)


def _share(a: Tensor, b: Tensor) -> float:
    return (a == b).double().mean().item()


# ------------------------------------------------------------------------------- batching
def batching() -> dict[str, Any]:
    """Requests of unequal length through the engine's batch: who wrote in which step."""
    engine = _engine(ROWS)
    chance = random.Random(4)
    lengths = [min(96, 4 + int(chance.expovariate(1 / 24))) for _ in range(REQUESTS)]
    sequences = [
        engine.sequence(
            [65 + n], SamplingConfig(max_tokens=length), frozenset({999}), n
        )
        for n, length in enumerate(lengths)
    ]
    batch, spans, step = engine.batch(), {}, 0
    for sequence in sequences:
        batch.add(sequence)
    while batch.busy:
        for sequence in batch.step():
            number = sequence.request.number
            first, _ = spans.get(number, (step, step))
            spans[number] = (first, step)
        step += 1
    together = [max(lengths[n : n + ROWS]) for n in range(0, REQUESTS, ROWS)]
    total = sum(lengths)
    return {
        "rows": ROWS,
        "lengths": lengths,
        "spans": [spans[n] for n in range(REQUESTS)],
        "steps": step,
        "steps_static": sum(together),
        "static": together,
        "tokens": total,
        "filled": total / (step * ROWS),
        "filled_static": total / (sum(together) * ROWS),
    }


def _engine(rows: int) -> Engine:
    tokenizer = PieceTokenizer("char", [chr(n) for n in range(32, 127)])
    torch.manual_seed(0)
    model = Transformer(ModelConfig(**TINY, vocab_size=tokenizer.vocab_size)).eval()
    return Engine(model, tokenizer, rows, compiled=False)


# ---------------------------------------------------------------------------------- pages
def pages() -> dict[str, Any]:
    """Conversations behind one system prompt: what is read, and what is held."""
    config = ModelConfig(**TINY, vocab_size=300)
    cache = KVCache(config, 64 * 256)
    chance = random.Random(2)
    system = [chance.randrange(300) for _ in range(100)]
    turns, read, whole, held = 0, 0, 0, 0
    rows = []
    for _ in range(12):  # conversations
        history = list(system)
        for _ in range(3):  # turns
            history += [chance.randrange(300) for _ in range(chance.randrange(8, 25))]
            row = cache.open(history[:-1])
            known = len(row.ids)
            cache.reserve(row, len(history) - known)
            cache.note(row, history[known:])
            turns, read, whole = (
                turns + 1,
                read + len(history) - known,
                whole + len(history),
            )
            answer = [chance.randrange(300) for _ in range(chance.randrange(8, 25))]
            cache.reserve(row, len(answer))
            cache.note(row, answer)
            history += answer
            rows.append((len(row.ids), len(row.pages)))
            cache.close(row)
        held += len(history)
    used = cache.pages.count - len(cache.pages._free)
    return {
        "page": PAGE,
        "system": len(system),
        "turns": turns,
        "read": read,
        "read_without": whole,
        "tokens_held_apart": held,
        "tokens_held": used * PAGE,
        "context": config.context_length,
        "empty": sum(p * PAGE - n for n, p in rows) / sum(p * PAGE for _, p in rows),
        "empty_reserved": 1
        - sum(n for n, _ in rows) / (len(rows) * config.context_length),
    }


# ------------------------------------------------------------------------------- rounding
def outliers() -> list[dict[str, float]]:
    """One weight in each row is larger: the error of all, by how many share a scale."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(64, 1024, generator=generator)
    rows = []
    for size in (1, 4, 8, 16, 32, 64):
        spoilt = weight.clone()
        spoilt[:, 17] = float(size) * 4
        row: dict[str, float] = {"size": size * 4}
        for group in (32, 64, 1024):
            for bits in (8, 4):
                row[f"{bits}/{group}"] = _others(spoilt, quantize(spoilt, bits, group))
        rows.append(row)
    return rows


def _others(weight: Tensor, codes: Codes) -> float:
    """The relative error of the weights beside the outlier."""
    keep = torch.arange(weight.shape[1]) != 17
    change = (codes.weight() - weight)[:, keep]
    return (change.norm() / weight[:, keep].norm()).item()


def made_up() -> list[dict[str, float]]:
    """Rounding to the nearest and GPTQ, by how much the inputs move together."""
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn(96, 256, generator=generator) / 16
    rows = []
    for shared in (0.0, 0.25, 0.5, 0.75, 0.9, 0.97):
        common = torch.randn(4096, 16, generator=generator)
        mixing = torch.randn(16, 256, generator=generator) / 4
        own = torch.randn(4096, 256, generator=generator)
        x = math.sqrt(shared) * common @ mixing + math.sqrt(1 - shared) * own
        seen, fresh = x[:2048], x[2048:]
        row: dict[str, float] = {"shared": shared}
        for name, codes in (
            ("nearest", quantize(weight, 4, 32)),
            ("gptq", gptq(weight, seen.T @ seen, 4, 32)),
        ):
            change = codes.weight() - weight
            row[name] = ((fresh @ change.T).norm() / (fresh @ weight.T).norm()).item()
            row[f"{name}_weight"] = (change.norm() / weight.norm()).item()
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
