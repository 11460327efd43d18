"""One decoding step on a CPU, compiled as a whole: the fast path of decoder.py.

It holds the model's weights packed the way they are read, and works on the same cache as
the model itself. The arithmetic is in kernels.py.
"""

import numba
import numpy as np
import torch
from torch import Tensor

from hornbook.infer.kernels import Weights, step
from hornbook.infer.kvcache import KVCache
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer

MAX_THREADS = numba.get_num_threads()

# The settings that may take any value; all others must be at their defaults.
FREE = (
    *("n_layers", "d_model", "n_heads", "n_kv_heads", "context_length", "vocab_size"),
    *("d_head", "d_ff", "mlp", "qk_norm", "rope_base", "rope_scaling", "norm_eps"),
    *("tied", "init"),
)


class CompiledStep:
    """The weights of ``model`` as they are now, ready for :func:`kernels.step`."""

    def __init__(self, model: Transformer):
        self.weights = pack(model)
        self.eps = np.float32(model.config.norm_eps)

    @staticmethod
    def fits(model: Transformer) -> bool:
        """Whether this path can stand in for ``model``: Llama's or Qwen3's block.

        Or theirs with ReLU², with any RoPE; on a CPU, in float32.
        """
        weight, config = model.embedding.weight, model.config
        shape = {field: getattr(config, field) for field in FREE}
        here = weight.device.type == "cpu" and weight.dtype == torch.float32
        return (
            here
            and config.mlp in ("swiglu", "relu2")
            and config == ModelConfig(**shape)
        )

    def __call__(self, tokens: list[int], cache: KVCache) -> Tensor:
        """Logits (sequences, vocab) after ``tokens[row]`` in the first rows of ``cache``.

        The rows grow by their token. Raises ValueError when one has no room.
        """
        numba.set_num_threads(min(torch.get_num_threads(), MAX_THREADS))
        rows = len(tokens)
        lengths = np.array(cache.lengths[:rows])
        cache.window(0, rows, 1)
        logits = step(
            self.weights,
            self.eps,
            np.array(tokens),
            lengths,
            cache.keys.numpy(),
            cache.values.numpy(),
        )
        return torch.from_numpy(logits)


def pack(model: Transformer) -> Weights:
    """Copy the weights of ``model`` into :class:`Weights`."""
    blocks = model.blocks

    def stack(*names: str) -> np.ndarray:
        layers = [
            torch.cat([block.get_parameter(f"{name}.weight") for name in names])
            for block in blocks
        ]
        return torch.stack(layers).detach().numpy()

    gated, normed = model.config.mlp == "swiglu", model.config.qk_norm
    none = np.empty((len(blocks), 0), np.float32)
    embedding = model.embedding.weight
    head = embedding if model.head is None else model.head.weight
    attention, feed_forward = "attention.", "feed_forward."
    return Weights(
        embedding=embedding.detach().numpy(),
        attention_norm=stack("attention_norm"),
        query_key_value=stack(*(attention + n for n in ("query", "key", "value"))),
        query_norm=stack("attention.query_norm") if normed else none,
        key_norm=stack("attention.key_norm") if normed else none,
        output=stack("attention.output"),
        feed_forward_norm=stack("feed_forward_norm"),
        gate_up=stack(
            *(feed_forward + n for n in (["gate"] if gated else []) + ["up"])
        ),
        down=stack("feed_forward.down"),
        norm=model.get_parameter("norm.weight").detach().numpy(),
        head=head.detach().numpy(),
        cos=model.get_buffer("rotary.cos").numpy(),
        sin=model.get_buffer("rotary.sin").numpy(),
    )
