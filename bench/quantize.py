"""What 8 and 4 bits cost: differences from float32, beside llama.cpp's formats.

    python bench/quantize.py [--quick] [--model DIRECTORY --text FILE]

By default random weights (Llama's shape, 110 M parameters) on random tokens: nothing is
certain to such a model, so every difference shows. With --model and --text, a trained one.
"""

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.measure import bar, finish  # noqa: E402
from hornbook.infer.quant.calibrate import input_products  # noqa: E402
from hornbook.infer.quant.codes import Codes  # noqa: E402
from hornbook.infer.quant.quantize import (  # noqa: E402
    Cost,
    cost,
    matrices,
    quantize_model,
)
from hornbook.model.huggingface import load_model  # noqa: E402
from hornbook.model.presets import preset  # noqa: E402
from hornbook.model.transformer import Transformer  # noqa: E402
from hornbook.tokenizer.base import load_tokenizer  # noqa: E402


class Stored(Codes):
    """A matrix that another library has rounded."""

    def __init__(self, weight: torch.Tensor):
        object.__setattr__(self, "_weight", weight)

    def weight(self) -> torch.Tensor:
        return self._weight  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--text", type=Path)
    options = parser.parse_args()
    model, windows, n_bytes = subject(options)
    half = len(windows) // 2
    measured, share = windows[half:], (len(windows) - half) / len(windows)
    products = input_products(model, [torch.tensor([w]) for w in windows[:half]])
    made = {
        "int8, group 64": quantize_model(model, 8, 64),
        "int8, group 32": quantize_model(model, 8, 32),
        "int4, group 32": quantize_model(model, 4, 32),
        "int4, group 32, GPTQ": quantize_model(model, 4, 32, products),
        "llama.cpp q8_0": theirs(model, "Q8_0"),
        "llama.cpp q4_0": theirs(model, "Q4_0"),
    }
    found = {
        name: cost(model, codes, measured, round(n_bytes * share))
        for name, codes in made.items()
    }
    for name, value in found.items():
        print(f"  {name}: {told(value)}", flush=True)
    finish("quantize", options.quick, judge(found), ("gguf",), costs=tables(found))


def subject(options: argparse.Namespace) -> tuple[Transformer, list[list[int]], int]:
    """The model, windows of tokens, and how many bytes they are (4 a token if random)."""
    count, length = (4, 64) if options.quick else (32, 256)
    if options.model is None:
        torch.manual_seed(0)
        model = Transformer(preset("llama-110m", init="gpt2")).eval()
        ids = torch.randint(32_000, (count, length)).tolist()
        return model, ids, 4 * count * length
    model, tokenizer = load_model(options.model).eval(), load_tokenizer(options.model)
    length = min(length, model.config.context_length)
    ids = tokenizer.encode(options.text.read_text("utf-8"))[: count * length]
    windows = [ids[i : i + length] for i in range(0, len(ids) - length + 1, length)]
    return model, windows, sum(len(tokenizer.decode_bytes(w[1:])) for w in windows)


def theirs(model: Transformer, kind: str) -> dict[str, Codes]:
    """The matrices as GGUF's ``kind`` rounds them."""
    import gguf

    stored = gguf.GGMLQuantizationType[kind]
    result: dict[str, Codes] = {}
    for name, weight in matrices(model).items():
        data = gguf.quants.quantize(weight.numpy(), stored)
        result[name] = Stored(torch.from_numpy(gguf.quants.dequantize(data, stored)))
    return result


def judge(found: dict[str, Cost]) -> list[dict]:
    eight, four = found["int8, group 64"], found["int4, group 32, GPTQ"]
    plain, their_four = found["int4, group 32"], found["llama.cpp q4_0"]
    change = four.quantized_bits_per_byte - four.bits_per_byte
    their_change = their_four.quantized_bits_per_byte - their_four.bits_per_byte
    return [
        bar("int8 (group 64), same argmax", eight.same_argmax, 0.97),
        bar(
            "int4 rounded, share of llama.cpp q4_0's largest layer error",
            max(plain.layer_errors.values()) / max(their_four.layer_errors.values()),
            most=1.0,
        ),
        bar("int4 GPTQ, change in bits per byte", change, most=abs(their_change)),
    ]


def told(value: Cost) -> str:
    return (
        f"max |Δ log p| {value.largest_difference:.3g}, same argmax {value.same_argmax:.3f}, "
        f"bits per byte {value.bits_per_byte:.4f} -> {value.quantized_bits_per_byte:.4f}, "
        f"largest layer error {max(value.layer_errors.values()):.4f}"
    )


def tables(found: dict[str, Cost]) -> dict[str, dict]:
    result = {}
    for name, value in found.items():
        table = value.table()
        table["layer_errors"] = {"largest": max(value.layer_errors.values())}
        result[name] = table
    return result


if __name__ == "__main__":
    main()
