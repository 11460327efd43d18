"""Re-load what was exported in its own runtime and compare with the model it came from."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hornbook.core.errors import UserError
from hornbook.infer.export.gguf import gguf_name, need_gguf, neighbours
from hornbook.infer.quant.files import empty_model, set_parameter
from hornbook.model.layouts import layout_for
from hornbook.model.transformer import Transformer

FLOAT32 = 0  # llama.cpp's number for it
Runner = Callable[[list[int]], np.ndarray]  # ids -> logits (time, vocab_size)


@dataclass(frozen=True)
class Verdict:
    """How far the export is from the model, over ``places`` tokens.

    largest_difference  max |Δ log p|, over the whole vocabulary, in nats
    same_argmax         share of places where both find the same token likeliest
    runtime             who computed it
    """

    largest_difference: float
    same_argmax: float
    places: int
    runtime: str

    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.runtime}: max |Δ log p| {self.largest_difference:.2g} nats, the same "
            f"likeliest token at {self.same_argmax:.1%} of {self.places} places."
        )


def verify(model: Transformer, path: Path, texts: list[list[int]]) -> Verdict:
    """Compare the file at ``path`` (.gguf or .onnx) with ``model`` on sequences of ids."""
    if path.suffix == ".onnx":
        run, runtime = _onnx_runner(model, path)
    elif importlib.util.find_spec("llama_cpp"):
        run, runtime = _llama_cpp_runner(path, max(map(len, texts))), "llama.cpp"
    else:
        run = _plain_runner(read_gguf(path, model))
        runtime = "our own reader of GGUF (llama-cpp-python isn't installed)"
    largest, same, places = 0.0, 0, 0
    reference = _plain_runner(model)
    for ids in texts:
        ours = torch.from_numpy(reference(ids)).log_softmax(dim=-1)
        theirs = torch.from_numpy(run(ids)).log_softmax(dim=-1)
        largest = max(largest, float((ours - theirs).abs().max()))
        same += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        places += len(ids)
    return Verdict(largest, same / places, places, runtime)


def read_gguf(path: Path, like: Transformer) -> Transformer:
    """The model of a GGUF file that :func:`~.gguf.write_gguf` wrote of one like ``like``."""
    gguf = need_gguf()
    config = like.config
    tensors = {}
    for tensor in gguf.GGUFReader(path).tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        tensors[tensor.name] = np.asarray(data, np.float32).reshape(shape)
    model = empty_model(config)
    turned = layout_for(config).model_type == "llama"
    for name, _ in list(model.named_parameters()):
        array = tensors[gguf_name(name)]
        if turned and ".query." in name:
            array = _apart(array, config.n_heads)
        if turned and ".key." in name:
            array = _apart(array, config.n_kv_heads)
        set_parameter(model, name, torch.from_numpy(array.copy()))
    return model.eval()


def _apart(matrix: np.ndarray, n_heads: int) -> np.ndarray:
    """The inverse of :func:`~.gguf.neighbours`."""
    order = neighbours(np.arange(len(matrix)), n_heads)
    result = np.empty_like(matrix)
    result[order] = matrix
    return result


def _plain_runner(model: Transformer) -> Runner:
    @torch.inference_mode()
    def run(ids: list[int]) -> np.ndarray:
        return model(torch.tensor([ids]))[0].float().numpy()

    return run


def _onnx_runner(model: Transformer, path: Path) -> tuple[Runner, str]:
    if not importlib.util.find_spec("onnxruntime"):
        raise UserError(
            "ONNX files are verified with 'onnxruntime'; install it: "
            "pip install 'hornbook[export]'."
        )
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )

    def run(ids: list[int]) -> np.ndarray:
        logits: Any = session.run(None, {"tokens": np.array([ids], np.int64)})[0]
        return logits[0]

    return run, f"ONNX Runtime {onnxruntime.__version__}"


def _llama_cpp_runner(path: Path, longest: int) -> Runner:
    from llama_cpp import Llama  # pyright: ignore[reportMissingImports]

    llama = Llama(
        str(path),
        n_ctx=longest + 8,
        n_batch=longest + 8,
        logits_all=True,
        type_k=FLOAT32,  # its cache is in float16 otherwise, which isn't the file's doing
        type_v=FLOAT32,
        verbose=False,
    )

    def run(ids: list[int]) -> np.ndarray:
        llama.reset()
        llama.eval(ids)
        return np.array(llama.scores[: len(ids)])

    return run
