"""The compiled step as an object: a model's weights packed the way step.py reads them."""

import numpy as np
import torch
from torch import Tensor

from hornbook.infer.cpu.dense import dense_matrix
from hornbook.infer.cpu.integers import bytes_matrix, nibbles_matrix
from hornbook.infer.cpu.matrices import Matrix
from hornbook.infer.cpu.step import Shape, Weights, step
from hornbook.infer.kvcache import KVCache, Row
from hornbook.infer.quant.codes import Codes
from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.cpu.fused import follow_threads
from hornbook.model.mask import windows
from hornbook.model.transformer import Transformer

DTYPES = (torch.float32, torch.bfloat16)
FEW = 8  # tokens: up to here a product of integers is faster than PyTorch's

# The settings that may take any value; all others must be at their defaults.
FREE = (
    *("n_layers", "d_model", "n_heads", "n_kv_heads", "context_length", "vocab_size"),
    *("d_head", "d_ff", "mlp", "qk_norm", "rope_base", "rope_scaling", "norm_eps"),
    *("tied", "init", "windows"),
)


class CompiledStep:
    """The weights of ``model`` as they are now, ready for :func:`step.step`.

    Matrices that ``codes`` has are read from there, quantized; the others in the model's
    own float32 or bfloat16.
    """

    def __init__(self, model: Transformer, codes: dict[str, Codes] | None = None):
        config, exact = model.config, model.embedding.weight.dtype == torch.float32
        self.weights = _Packer(model, codes or {}).weights()
        # New tokens of a row, up to which this is faster than PyTorch.
        self.most = FEW if codes else config.context_length if exact else 4 * FEW
        gated = config.mlp == "swiglu"
        self.shape = Shape(
            config.n_heads,
            sizes.d_ff(config),
            config.vocab_size,
            gated,
            float(config.norm_eps),
        )

    @staticmethod
    def fits(model: Transformer) -> bool:
        """Whether this path can stand in for ``model``: Llama's or Qwen3's block.

        Or theirs with ReLU² or windows, with any RoPE; on a CPU, in float32 or bfloat16.
        """
        weight, config = model.embedding.weight, model.config
        plain = ModelConfig(**{field: getattr(config, field) for field in FREE})
        return (
            weight.device.type == "cpu"
            and weight.dtype in DTYPES
            and config.mlp in ("swiglu", "relu2")
            and config == plain
        )

    def __call__(
        self, rows: list[Row], new: list[list[int]], cache: KVCache, wanted: list[int]
    ) -> Tensor:
        """Add ``new[i]`` to ``rows[i]``; logits (all wanted, vocab) of its last ``wanted[i]``.

        Their pages must be reserved; the caller notes the tokens afterwards.
        """
        follow_threads()
        counts = [len(ids) for ids in new]
        places = [
            len(row.ids) + i
            for row, n in zip(rows, counts, strict=True)
            for i in range(n)
        ]
        ends = np.cumsum(counts)
        asked = [
            end - n + i for end, n in zip(ends, wanted, strict=True) for i in range(n)
        ]
        logits = step(
            self.weights,
            self.shape,
            np.array([token for ids in new for token in ids]),
            np.array(places),
            np.repeat(cache.tables(rows), counts, axis=0),
            _numbers(cache.keys),
            _numbers(cache.values),
            np.array(asked),
        )
        return torch.from_numpy(logits)


class _Packer:
    """Builds :class:`Weights` from a model."""

    def __init__(self, model: Transformer, codes: dict[str, Codes]):
        self.model, self.codes = model, codes
        self.layers = range(model.config.n_layers)

    def weights(self) -> Weights:
        """All of them, copied."""
        config, model = self.model.config, self.model
        none = np.empty((config.n_layers, 0), np.float32)
        up = ["gate", "up"] if config.mlp == "swiglu" else ["up"]
        head = "embedding" if model.head is None else "head"
        return Weights(
            embedding=_numbers(model.embedding.weight),
            attention_norm=self.vectors("attention_norm"),
            query_key_value=self.stack(
                *(f"attention.{n}" for n in ("query", "key", "value"))
            ),
            query_norm=self.vectors("attention.query_norm") if config.qk_norm else none,
            key_norm=self.vectors("attention.key_norm") if config.qk_norm else none,
            output=self.stack("attention.output"),
            feed_forward_norm=self.vectors("feed_forward_norm"),
            gate_up=self.stack(*(f"feed_forward.{n}" for n in up)),
            down=self.stack("feed_forward.down"),
            norm=model.get_parameter("norm.weight").detach().float().numpy(),
            head=self.matrix([[head]]),
            cos=model.get_buffer("rotary.cos").float().numpy(),
            sin=model.get_buffer("rotary.sin").float().numpy(),
            windows=np.array(windows(config)),
        )

    def vectors(self, name: str) -> np.ndarray:
        """A norm's weights (layers, width) in float32."""
        found: list[Tensor] = [
            self.model.blocks[n].get_parameter(f"{name}.weight") for n in self.layers
        ]
        return torch.stack(found).detach().float().numpy()

    def stack(self, *names: str) -> Matrix:
        """The named matrices of every block, one below the other."""
        return self.matrix([[f"blocks.{n}.{m}" for m in names] for n in self.layers])

    def matrix(self, modules: list[list[str]]) -> Matrix:
        """(layers, outputs, inputs) from the modules of each layer."""
        names = [[f"{name}.weight" for name in layer] for layer in modules]
        flat = [name for layer in names for name in layer]
        if not all(name in self.codes for name in flat):
            return dense_matrix(
                _numbers(
                    _stacked(names, lambda n: self.model.get_parameter(n).detach())
                )
            )
        codes = _stacked(names, lambda n: self.codes[n].codes).numpy()
        scales = _stacked(names, lambda n: self.codes[n].scales_by(32)).numpy()
        pack = bytes_matrix if self.codes[flat[0]].bits == 8 else nibbles_matrix
        return pack(codes, scales)


def _stacked(names: list[list[str]], get) -> Tensor:
    return torch.stack([torch.cat([get(name) for name in layer]) for layer in names])


def _numbers(tensor: Tensor) -> np.ndarray:
    """Float32 as it is, bfloat16 as uint16."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.uint16)
    return tensor.numpy()
