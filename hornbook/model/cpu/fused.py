"""The kernels as steps of PyTorch's autograd, for training on a CPU.

Each replaces a chain of operations of the same meaning, which stays beside its caller for
every other device and dtype and for the compiler, and which tests hold it equal to.
"""

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def follow_threads() -> None:
    """Let Numba's kernels use as many threads as PyTorch does."""
    import numba  # half a second to load, and only training and decoding need it

    numba.set_num_threads(min(torch.get_num_threads(), _most_threads()))


@cache
def _most_threads() -> int:
    """Numba's first use sets how many threads OpenMP takes, for PyTorch too."""
    import numba

    before = torch.get_num_threads()
    most = numba.get_num_threads()
    torch.set_num_threads(before)
    return most


def _kernels() -> ModuleType:
    follow_threads()
    from hornbook.model.cpu import kernels

    return kernels


FORMATS = {torch.float32: torch.float32, torch.bfloat16: torch.uint16}


def fits(*tensors: Tensor) -> bool:
    """Whether the kernels can do the work on ``tensors``: plain ones of a CPU, in training.

    Subclasses (sharded, traced) keep to PyTorch's own operations, as does whatever needs no
    gradient: there an engine of its own does the work.
    """
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore
        and all(
            type(x) in (Tensor, nn.Parameter)
            and x.device.type == "cpu"
            and x.dtype in FORMATS
            and x.numel() > 0
            for x in tensors
        )
    )


def _copied(weight: Tensor) -> np.ndarray:
    """A copy, for NumPy pins what it sees, and a gathered weight must be let go again."""
    return weight.detach().clone().numpy()


class RMSNorm(torch.autograd.Function):
    """``x / rms(x) * weight`` over the last dimension, in the dtype of ``x``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """``x`` (..., width) and ``weight`` (width,) float32."""
        kernels = _kernels()
        x = x.contiguous()
        out, scales = torch.empty_like(x), x.new_empty(_rows(x), dtype=torch.float32)
        kernels.normalize(
            _by_row(x), _copied(weight), np.float32(eps), _by_row(out), scales.numpy()
        )
        ctx.save_for_backward(x, weight, scales)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """The gradients of ``x`` and ``weight``."""
        kernels = _kernels()
        x, weight, scales = ctx.saved_tensors
        gradient, out = gradient.contiguous(), torch.empty_like(x)
        parts = weight.new_empty(-(-len(scales) // kernels.ROWS), len(weight))
        kernels.normalize_backward(
            _by_row(x),
            _copied(weight),
            scales.numpy(),
            _by_row(gradient),
            _by_row(out),
            parts.numpy(),
        )
        return out, parts.sum(0), None


class Turn(torch.autograd.Function):
    """RoPE on ``x`` (batch, heads, time, width), a transposed (batch, time, heads, width)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """``cos`` and ``sin`` are (time, width / 2), or (batch, 1, time, width / 2)."""
        kernels = _kernels()
        ctx.tables = tuple(table.reshape(-1, *table.shape[-2:]) for table in (cos, sin))
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        tables = (table.numpy() for table in ctx.tables)
        kernels.turn(_bits(x.transpose(1, 2).contiguous()), *tables, _bits(out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """The gradient of ``x``: turned back."""
        kernels = _kernels()
        batch, heads, time, width = gradient.shape
        out = gradient.new_empty(batch, time, heads, width)
        tables = (table.numpy() for table in ctx.tables)
        kernels.turn_back(_bits(gradient.contiguous()), *tables, _bits(out))
        return out.transpose(1, 2), None, None


class SquareReLU(torch.autograd.Function):
    """``relu(x) ** 2``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Any shape."""
        kernels = _kernels()
        x = x.contiguous()
        out = torch.empty_like(x)
        kernels.square_relu(_by_row(x), _by_row(out))
        ctx.save_for_backward(x)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        """The gradient of ``x``."""
        kernels = _kernels()
        (x,) = ctx.saved_tensors
        out = torch.empty_like(x)
        kernels.square_relu_backward(
            _by_row(x), _by_row(gradient.contiguous()), _by_row(out)
        )
        return out


class SwishGate(torch.autograd.Function):
    """``silu(gate) * up``."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """Two of one shape and dtype."""
        kernels = _kernels()
        gate, up = gate.contiguous(), up.contiguous()
        out = torch.empty_like(gate)
        kernels.swish_gate(_by_row(gate), _by_row(up), _by_row(out))
        ctx.save_for_backward(gate, up)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """The gradients of both."""
        kernels = _kernels()
        gate, up = ctx.saved_tensors
        d_gate, d_up = torch.empty_like(gate), torch.empty_like(up)
        kernels.swish_gate_backward(
            *(_by_row(x) for x in (gate, up, gradient.contiguous(), d_gate, d_up))
        )
        return d_gate, d_up


def _bits(x: Tensor) -> np.ndarray:
    """The numbers of ``x`` as the kernels read them."""
    return x.detach().view(FORMATS[x.dtype]).numpy()


def _rows(x: Tensor) -> int:
    return x.numel() // x.shape[-1]


def _by_row(x: Tensor) -> np.ndarray:
    return _bits(x).reshape(_rows(x), x.shape[-1])


rms_norm, turn = RMSNorm.apply, Turn.apply
square_relu, swish_gate = SquareReLU.apply, SwishGate.apply
