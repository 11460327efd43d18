"""ONNX: the model as a graph of standard operators, for ONNX Runtime and its relatives.

Needs the package ``onnx``. The graph takes ``tokens`` (batch, time) int64 and gives
``logits`` (batch, time, vocab_size) float32: the naive forward pass, without a cache.
"""

import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from hornbook.core.errors import UserError
from hornbook.model.transformer import Transformer


class _Forward(nn.Module):
    """The model with its tokens as only argument."""

    def __init__(self, model: Transformer):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(tokens)


def write_onnx(model: Transformer, path: Path) -> None:
    """Write ``model`` to ``path``. Raises :class:`UserError` for what ONNX can't express."""
    try:
        import onnx  # noqa: F401  PyTorch's exporter asks for it only at its end
    except ImportError:
        raise UserError(
            "ONNX files are written with the package 'onnx'; install it: "
            "pip install 'hornbook[export]'."
        ) from None
    if model.config.experts is not None:
        raise UserError(
            "A mixture of experts sends each token another way, which an ONNX graph can't; "
            "use its safetensors."
        )
    size = 4 * sum(p.numel() for p in model.parameters())
    if size > 2**31:
        raise UserError(
            f"The weights take {size / 1e9:.1f} GB, and an ONNX file holds 2; export to GGUF."
        )
    # Longer than any window, or tracing would take the windows for none at all.
    length = max(8, *(window + 1 for window in (0, *model.config.windows)))
    example = torch.zeros(
        1, min(length, model.config.context_length), dtype=torch.int64
    )
    names = {"tokens": {0: "batch", 1: "time"}, "logits": {0: "batch", 1: "time"}}
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about shape checks that become constants
            torch.onnx.export(
                _Forward(model).eval(),
                (example,),
                unfinished,
                input_names=["tokens"],
                output_names=["logits"],
                dynamic_axes=names,
                dynamo=False,
            )
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
