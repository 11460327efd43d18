"""Decoding on this CPU: tokens per second as a share of what memory allows, and beside peers.

    python bench/infer.py [--quick] [--peers PYTHON]

The same random weights (Llama's shape, 110 M parameters) are decoded by the engine's
compiled step in four precisions, by Transformers, and by llama.cpp if PYTHON has
llama-cpp-python. A step reads every weight once, so the limit is bandwidth over bytes of
weights. The bandwidth is that of a plain sum over memory no cache holds, measured in
between, in the same minute.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.measure import bar, finish  # noqa: E402
from hornbook.infer.cpu.compiled import CompiledStep  # noqa: E402
from hornbook.infer.cpu.jit import kernel  # noqa: E402
from hornbook.infer.decoder import Decoder  # noqa: E402
from hornbook.infer.export.gguf import add_tensor, gguf_name, neighbours  # noqa: E402
from hornbook.infer.kvcache import KVCache  # noqa: E402
from hornbook.infer.quant.files import save_quantized  # noqa: E402
from hornbook.infer.quant.quantize import quantize_model  # noqa: E402
from hornbook.model.huggingface import save_model  # noqa: E402
from hornbook.model.presets import preset  # noqa: E402
from hornbook.model.transformer import Transformer  # noqa: E402

PROMPT = list(range(100, 164))
SHARES = {"float32": 0.90, "bfloat16": 0.88, "int8": 0.85, "int4": 0.80}
PEERS = {"float32": "f32", "bfloat16": "bf16", "int8": "q8_0", "int4": "q4_0"}
THREADS = min(torch.get_num_threads(), numba.get_num_threads())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--peers", help="a Python with llama-cpp-python")
    parser.add_argument("--only", help="precisions, by comma")
    options = parser.parse_args()
    tokens, rounds = (16, 2) if options.quick else (64, 3)
    kinds = options.only.split(",") if options.only else list(SHARES)
    torch.manual_seed(0)
    model = Transformer(preset("llama-110m", init="gpt2")).eval()
    decoders, sizes = {}, {}
    for kind in kinds:
        decoders[kind], sizes[kind] = ours(model, kind)
    with tempfile.TemporaryDirectory() as folder:
        peers = {}
        if options.peers:
            for kind in kinds:
                path = Path(folder) / f"{kind}.gguf"
                write_weights(model, path, PEERS[kind])
                peers[kind] = Peer(options.peers, path, tokens)
        rates = measure(decoders, peers, tokens, rounds)
        theirs = transformers_rate(model, tokens)
        cold = cold_start(model, Path(folder))
    bars, table = judge(rates, sizes, cold)
    speed = {"transformers, float32, batch 1": theirs, **table}
    finish(
        "infer",
        options.quick,
        bars,
        ("numba", "transformers"),
        tokens_per_second=speed,
        llama_cpp=bool(peers),
        threads=THREADS,
    )


def ours(model: Transformer, kind: str) -> tuple[Decoder, int]:
    """A decoder of ``model``'s weights as ``kind``, and how many bytes a step reads."""
    codes = None
    if kind.startswith("int"):
        codes = quantize_model(model, int(kind[3:]), 32)
    dtype = torch.float32 if kind == "float32" else torch.bfloat16
    twin = Transformer(model.config).eval()
    twin.load_state_dict(model.state_dict())
    for parameter in twin.parameters():
        parameter.data = parameter.data.to(dtype)
    compiled = CompiledStep(twin, codes)
    cache = KVCache(model.config, 8 * 256 + 1024, dtype)
    count = sum(p.numel() for p in model.parameters())
    per_weight = {"float32": 4, "bfloat16": 2, "int8": 1 + 2 / 32, "int4": 0.5 + 2 / 32}
    return Decoder(twin, cache, compiled), round(count * per_weight[kind])


class Peer:
    """llama.cpp in a process of its own, measuring when asked."""

    def __init__(self, python: str, path: Path, tokens: int):
        script = str(Path(__file__).parent / "infer_peer.py")
        self.process = subprocess.Popen(
            [python, script, str(path), str(tokens), str(THREADS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def rates(self) -> dict[str, float]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def measure(
    decoders: dict[str, Decoder], peers: dict[str, Peer], tokens: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Medians of all rates, ours and theirs taken in turns; the first round warms up."""
    runs: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds + 1):
        for kind, decoder in decoders.items():
            found = {"bandwidth": bandwidth()}
            for rows in (1, 8):
                found[f"batch {rows}"] = decode(decoder, rows, tokens)
            found["prefill"] = prefill(decoder, 512)
            if kind in peers:
                found |= {f"llama.cpp, {k}": v for k, v in peers[kind].rates().items()}
            if turn:
                for name, value in found.items():
                    runs.setdefault(kind, {}).setdefault(name, []).append(value)
    return {
        kind: {name: statistics.median(values) for name, values in found.items()}
        for kind, found in runs.items()
    }


def judge(
    rates: dict[str, dict[str, float]], sizes: dict[str, int], cold: float
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    bars, table = [], {}
    for kind, found in rates.items():
        table |= {f"{kind}, {name}": value for name, value in found.items()}
        share = found["batch 1"] * sizes[kind] / found["bandwidth"]
        bars.append(bar(f"{kind} decode, share of bandwidth", share, SHARES[kind]))
        for what, kinds in (
            ("batch 1", SHARES),
            ("batch 8", ("bfloat16", "int8")),
            ("prefill", ("bfloat16",)),
        ):
            if f"llama.cpp, {what}" in found and kind in kinds:
                ahead = found[what] / found[f"llama.cpp, {what}"]
                bars.append(bar(f"{kind} {what}, times llama.cpp", ahead, 1.0))
    bars.append(bar("cold start to the first token", cold, most=2.0, unit="seconds"))
    return bars, table


@torch.no_grad()
def decode(decoder: Decoder, rows: int, tokens: int) -> float:
    """Tokens per second of greedy sequences after a prompt; reading not counted."""
    held = [decoder.open([]) for _ in range(rows)]
    current = []
    for row in held:
        logits = decoder.read(row, PROMPT)
        assert logits is not None
        current.append([int(logits.argmax())])
    start = time.perf_counter()
    for _ in range(tokens):
        logits = decoder.extend(held, current)
        current = [[int(some.argmax())] for some in logits]
    seconds = time.perf_counter() - start
    for row in held:
        decoder.close(row)
    return rows * tokens / seconds


@torch.no_grad()
def prefill(decoder: Decoder, count: int) -> float:
    row = decoder.open([])
    start = time.perf_counter()
    decoder.read(row, list(range(100, 100 + count)))
    seconds = time.perf_counter() - start
    decoder.close(row)
    return count / seconds


@kernel(parallel=True, fastmath=True)
def _sum(parts, out):
    for i in numba.prange(parts.shape[0]):
        total = np.float32(0)
        for j in range(parts.shape[1]):
            total += parts[i, j]
        out[i] = total


MEMORY = np.ones((25_000, 4096), np.float32)


def bandwidth() -> float:
    """Bytes per second at which memory can be read: the best of a few sums over 400 MB."""
    numba.set_num_threads(THREADS)
    out, best = np.zeros(len(MEMORY), np.float32), np.inf
    for _ in range(5):
        start = time.perf_counter()
        _sum(MEMORY, out)
        best = min(best, time.perf_counter() - start)
    return MEMORY.nbytes / best


def transformers_rate(model: Transformer, tokens: int) -> float:
    """The same for Transformers' own generate, its reading of the prompt taken off."""
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder))
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = torch.tensor([PROMPT])

    def seconds(count: int) -> float:
        start = time.perf_counter()
        theirs.generate(
            prompt, do_sample=False, max_new_tokens=count, min_new_tokens=count
        )
        return time.perf_counter() - start

    seconds(1)
    return tokens / max(seconds(tokens + 1) - seconds(1), 1e-9)


def cold_start(model: Transformer, folder: Path) -> float:
    """Seconds from starting Python to the first token of a quantized model on disk."""
    directory = folder / "int8"
    save_quantized(model, quantize_model(model, 8, 32), directory)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from hornbook.infer.load import open_model\n"
        "from hornbook.infer.engine import Engine\n"
        "from hornbook.infer.config import SamplingConfig\n"
        "class Numbers:\n"
        "    special, vocab_size = {}, 32000\n"
        "    def stream_decoder(self): return self\n"
        "    def push(self, token): return f'{token} '\n"
        "    def flush(self): return ''\n"
        "model, codes = open_model(Path(sys.argv[2]))\n"
        "engine = Engine(model, Numbers(), codes=codes)\n"
        "print(next(engine.stream(list(range(8)), SamplingConfig(temperature=0))))\n"
    )
    command = [sys.executable, "-c", script, str(ROOT), str(directory)]
    best = np.inf
    for _ in range(3):  # the first may compile
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - start)
    return best


def write_weights(model: Transformer, path: Path, kind: str) -> None:
    """A GGUF file of the weights with a vocabulary of numbers: the peer reads ids only."""
    import gguf

    from hornbook.infer.export.gguf import _add_settings

    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    _add_settings(writer, config, "llama", "bench")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_token_types([1] * config.vocab_size)
    writer.add_token_merges(["t 1"])
    for name, parameter in model.named_parameters():
        array = parameter.detach().numpy()
        if ".query." in name or ".key." in name:
            array = neighbours(array, config.n_heads)
        add_tensor(writer, gguf, gguf_name(name), array, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
