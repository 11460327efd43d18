"""Opening a model directory for inference, quantized or not."""

from pathlib import Path

import torch

from hornbook.infer.quant.codes import Codes
from hornbook.infer.quant.files import is_quantized, load_quantized
from hornbook.model.huggingface import load_model
from hornbook.model.transformer import Transformer

WEIGHTS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def open_model(
    directory: Path, weights: str = "float32"
) -> tuple[Transformer, dict[str, Codes] | None]:
    """The model, and its codes if it is quantized.

    ``weights`` says how numbers are kept: "float32" or "bfloat16", which takes half the
    memory and is about twice as fast. A quantized model reads prompts in bfloat16.
    """
    if is_quantized(directory):
        return load_quantized(directory, torch.bfloat16)
    model = load_model(directory).requires_grad_(False).eval()
    if WEIGHTS[weights] == torch.bfloat16:
        for parameter in model.parameters():  # the tables of positions stay exact
            parameter.data = parameter.data.bfloat16()
    return model, None
