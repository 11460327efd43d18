"""Everything a finished run is measured by, in the order of the report."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from hornbook.core.progress import Progress
from hornbook.evaluate.bits import Encoder, score_documents
from hornbook.evaluate.code import Complete, function_headers, parsing_functions
from hornbook.evaluate.compress import xz_bits_per_byte, zstd_bits_per_byte
from hornbook.evaluate.config import EvaluateConfig
from hornbook.evaluate.ngram import ByteNgram
from hornbook.evaluate.results import Result


def text_result(
    model: nn.Module,
    tokenizer: Encoder,
    training: Iterable[str],
    held_out: Sequence[str],
    context_length: int,
    config: EvaluateConfig,
    dtype: torch.dtype = torch.float32,
) -> Result:
    """Bits per byte of the held-out texts, beside those of compressors and n-grams.

    ``training`` are the texts the model was trained on; the n-gram model learns from the
    same. Raises :class:`UserError` when there is no held-out text.
    """
    cost = score_documents(model, tokenizer, held_out, context_length, dtype=dtype)
    baselines: dict[str, float] = {}
    if config.compare_compressors:
        baselines = compared_bits(training, held_out, config.ngram_order)
    return cost.result(baselines)


def compared_bits(
    training: Iterable[str], held_out: Sequence[str], order: int
) -> dict[str, float]:
    """Bits per byte of the held-out texts, end to end, without a neural network."""
    data = b"".join(map(_bytes, held_out))
    with Progress("compressors", total=3, unit="method") as progress:
        bits = {"xz -9e": xz_bits_per_byte(data)}
        progress.advance()
        bits["zstd -19"] = zstd_bits_per_byte(data)
        progress.advance()
        ngram = ByteNgram.train(map(_bytes, training), order)
        bits[f"{order}-gram of bytes"] = ngram.bits_per_byte(data)
        progress.advance()
    return bits


def code_result(
    complete: Complete, held_out: Iterable[str], config: EvaluateConfig, seed: int = 0
) -> Result | None:
    """The share of sampled functions that parse; ``None`` without Python to start from."""
    headers = function_headers(held_out, config.functions, seed)
    return parsing_functions(complete, headers) if headers else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
