"""Decoding on this CPU: tokens per second as a share of what memory allows, and beside peers.

    python bench/infer.py [--quick]

The same random weights (Llama's shape, 110 M parameters) are decoded by the engine's compiled
step, by the engine through PyTorch and by Transformers. A step reads every weight once, so
the limit is bandwidth over bytes of weights; the bandwidth is measured in between, in the
same minute, with the kernel that does the decoding.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hornbook.core.files import write_json  # noqa: E402
from hornbook.infer.compiled import CompiledStep  # noqa: E402
from hornbook.infer.decoder import Decoder  # noqa: E402
from hornbook.infer.kernels import multiply  # noqa: E402
from hornbook.model.huggingface import save_model  # noqa: E402
from hornbook.model.presets import preset  # noqa: E402
from hornbook.model.transformer import Transformer  # noqa: E402

PROMPT = list(range(100, 164))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    options = parser.parse_args()
    tokens, rounds = (16, 2) if options.quick else (64, 5)
    torch.manual_seed(0)
    model = Transformer(preset("llama-110m", init="gpt2")).eval()
    weight_bytes = 4 * sum(p.numel() for p in model.parameters())
    start = time.perf_counter()
    compiled = CompiledStep(model)
    engines = {
        "compiled": Decoder(model, 8, compiled),
        "torch": Decoder(model, 8),
    }
    for decoder in engines.values():
        decode(decoder, 1, 1)
    ready = time.perf_counter() - start
    theirs = transformers_model(model)
    runs: dict[str, list[float]] = {}
    for _ in range(rounds):
        runs.setdefault("bandwidth", []).append(bandwidth())
        for name, decoder in engines.items():
            for rows in (1, 8):
                rate = decode(decoder, rows, tokens)
                runs.setdefault(f"{name}, batch {rows}", []).append(rate)
        rate = transformers_rate(theirs, tokens)
        runs.setdefault("transformers, batch 1", []).append(rate)
    medians = {name: statistics.median(rates) for name, rates in runs.items()}
    share = medians["compiled, batch 1"] * weight_bytes / medians["bandwidth"]
    ahead = medians["compiled, batch 1"] / medians["transformers, batch 1"]
    result = {
        "bench": "infer",
        "bars": [
            bar("float32 decode, share of memory bandwidth", share, 0.9),
            bar("float32 decode, times Transformers", ahead, 1.0),
        ],
        "tokens_per_second": {k: v for k, v in medians.items() if k != "bandwidth"},
        "bandwidth": medians["bandwidth"],
        "seconds_until_ready": ready,
        "machine": {"processor": platform.processor(), "cores": os.cpu_count()},
        "versions": {
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }
    name = "infer-quick.json" if options.quick else "infer.json"
    (ROOT / "bench" / "results").mkdir(exist_ok=True)
    write_json(ROOT / "bench" / "results" / name, result)
    print(json.dumps(result))


def bar(what: str, value: float, limit: float) -> dict:
    return {"what": what, "value": value, "bar": limit, "holds": value >= limit}


@torch.no_grad()
def decode(decoder: Decoder, rows: int, tokens: int) -> float:
    """Tokens per second of ``rows`` greedy sequences, after a prompt; reading not counted."""
    logits = torch.cat([decoder.read(row, PROMPT) for row in range(rows)])
    start = time.perf_counter()
    for _ in range(tokens):
        logits = decoder.step(logits.argmax(-1).tolist())
    return rows * tokens / (time.perf_counter() - start)


def transformers_model(model: Transformer):
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as directory:
        save_model(model, Path(directory))
        return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)


@torch.no_grad()
def transformers_rate(model, tokens: int) -> float:
    """The same for Transformers' own generate, its reading of the prompt taken off."""
    prompt = torch.tensor([PROMPT])

    def seconds(count: int) -> float:
        start = time.perf_counter()
        model.generate(
            prompt, do_sample=False, max_new_tokens=count, min_new_tokens=count
        )
        return time.perf_counter() - start

    return tokens / max(seconds(tokens + 1) - seconds(1), 1e-9)


def bandwidth() -> float:
    """Bytes per second that one product with a matrix too big for any cache streams."""
    matrix = np.ones((100_000, 1024), np.float32)
    x, out = np.ones((1, 1024), np.float32), np.zeros((1, 100_000), np.float32)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        multiply(matrix, x, out, False)
        best = min(best, time.perf_counter() - start)
    return matrix.nbytes / best


if __name__ == "__main__":
    main()
