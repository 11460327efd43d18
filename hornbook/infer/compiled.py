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
from hornbook.model.transformer import Transformer


class CompiledStep:
    """The weights of ``model`` as they are now, ready for :func:`kernels.step`."""

    def __init__(self, model: Transformer):
        self.weights = pack(model)
        self.eps = np.float32(model.config.norm_eps)

    @staticmethod
    def fits(model: Transformer) -> bool:
        """Whether this path can stand in for ``model``: on a CPU, in float32."""
        weight = model.embedding.weight
        return weight.device.type == "cpu" and weight.dtype == torch.float32

    def __call__(self, tokens: list[int], cache: KVCache) -> Tensor:
        """Logits (sequences, vocab) after ``tokens[row]`` in the first rows of ``cache``.

        The rows grow by their token. Raises ValueError when one has no room.
        """
        numba.set_num_threads(min(torch.get_num_threads(), numba.get_num_threads()))
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
        norm=model.norm.weight.detach().numpy(),
        head=head.detach().numpy(),
        cos=model.rotary.cos.numpy(),
        sin=model.rotary.sin.numpy(),
    )
