"""Making a model ready for use elsewhere: quantized, or in another format, and checked."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import torch

from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.documents import read_texts
from hornbook.infer.export.gguf import write_gguf
from hornbook.infer.export.onnx import write_onnx
from hornbook.infer.export.verify import verify
from hornbook.infer.quant.calibrate import input_products
from hornbook.infer.quant.files import save_quantized
from hornbook.infer.quant.quantize import cost, layer_errors, matrices, quantize_model
from hornbook.model.transformer import Transformer
from hornbook.stages import model_directory
from hornbook.tokenizer.base import Tokenizer
from hornbook.training import load

CALIBRATION_TOKENS = 32_768  # of the text's first half, for GPTQ
MEASURED_TOKENS = 16_384  # of the rest, to say what quantizing costs
VERIFIED_TOKENS = 2_048


def quantize_directory(
    path: Path,
    stage: str | None,
    bits: int,
    group: int,
    method: str,
    text: Path | None,
    out: Path,
    as_json: bool = False,
) -> None:
    """Quantize the model at ``path`` into ``out`` and print what that costs."""
    directory = model_directory(path, stage)
    model, tokenizer = load(directory)
    windows = _windows(model, tokenizer, path, text)
    if method == "gptq" and len(windows) < 2:
        raise UserError(
            "GPTQ is calibrated on text; name a file of it with --on, such as the model "
            "was trained on."
        )
    half = len(windows) // 2
    products = None
    if method == "gptq":
        enough = windows[:half][: max(1, CALIBRATION_TOKENS // len(windows[0]))]
        with Progress("calibrating", len(enough), "window") as progress:
            products = input_products(
                model, [torch.tensor([w]) for w in enough], lambda: progress.advance(1)
            )
    with Progress("quantizing", len(matrices(model)), "matrix") as progress:
        codes = quantize_model(
            model, bits, group, products, lambda name: progress.advance(1)
        )
    measured = windows[half:][: max(1, MEASURED_TOKENS // model.config.context_length)]
    about: dict[str, Any] = {
        "method": method,
        "layer_errors": layer_errors(model, codes),
    }
    if measured:
        n_bytes = sum(len(tokenizer.decode_bytes(w[1:])) for w in measured)
        about = cost(model, codes, measured, n_bytes).table() | about
    save_quantized(model, codes, out, directory, about)
    about["bytes"] = sum(file.stat().st_size for file in out.iterdir())
    click.echo(json.dumps(about) if as_json else _told(about, out))


def export_model(
    path: Path,
    stage: str | None,
    to: str,
    kind: str,
    out: Path | None,
    check: bool,
    as_json: bool = False,
) -> None:
    """Write the model at ``path`` as ``to``; with ``check``, re-load it and compare."""
    directory = model_directory(path, stage)
    model, tokenizer = load(directory)
    if to == "gguf":
        target = out or Path(f"{path.name}-{kind}.gguf")
        write_gguf(model, tokenizer, target, kind, path.name)
    else:
        target = out or Path(f"{path.name}.onnx")
        write_onnx(model, target)
    told: dict[str, Any] = {"path": str(target), "bytes": target.stat().st_size}
    if check:
        windows = _windows(model, tokenizer, path, None)
        if not windows:
            length = min(128, model.config.context_length)
            generator = torch.Generator().manual_seed(0)
            windows = torch.randint(
                tokenizer.vocab_size, (8, length), generator=generator
            ).tolist()
        verdict = verify(model, target, windows[: max(1, VERIFIED_TOKENS // 512)])
        told |= vars(verdict)
    click.echo(json.dumps(told) if as_json else f"Wrote {target}.")
    if check and not as_json:
        click.echo(f"Checked with {verdict.sentence()}")


def _windows(
    model: Transformer, tokenizer: Tokenizer, path: Path, text: Path | None
) -> list[list[int]]:
    """Stretches of text as long as the context (at most 512).

    From the file named, or from the documents that a run has held out.
    """
    length = min(512, model.config.context_length)
    needed = 4 * (CALIBRATION_TOKENS + MEASURED_TOKENS)
    texts: Iterable[str] = ()
    if text is not None:
        texts = [text.read_text("utf-8", errors="replace")]
    elif (path / "split" / "validation").is_dir():
        texts = read_texts(path / "split" / "validation")
    ids: list[int] = []
    for some in texts:
        ids += tokenizer.encode(some)
        if len(ids) > needed:
            break
    last = min(len(ids), needed) - length
    return [ids[start : start + length] for start in range(0, last + 1, length)]


def _told(about: dict[str, Any], out: Path) -> str:
    errors = about["layer_errors"]
    worst = max(errors, key=errors.__getitem__)
    lines = [
        f"Wrote {out} ({about['bytes'] / 1e6:.1f} MB).",
        f"Largest error of a layer: {errors[worst]:.2%} of {worst}.",
    ]
    if "same_argmax" in about:
        lines.append(
            f"max |Δ log p| {about['largest_difference']:.3g} nats; the same likeliest token "
            f"at {about['same_argmax']:.1%}; bits per byte {about['bits_per_byte']:.4f} -> "
            f"{about['quantized_bits_per_byte']:.4f}."
        )
    else:
        lines.append("Name a text with --on to learn what it costs in bits per byte.")
    return "\n".join(lines)
