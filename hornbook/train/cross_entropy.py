"""The loss of a language model: how unlikely it found the tokens that came.

A row of logits is as long as the vocabulary, so that on a processor the loss is nothing but
memory: PyTorch's own makes the logits in float32, their logarithms of the softmax and two
gradients, each a matrix of tokens x vocabulary. :class:`CrossEntropy` looks at a few rows
at a time, while they are in the cache, and keeps the gradient alone, in the logits' dtype.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hornbook.data.batch import IGNORE

AT_ONCE = 1 << 21  # logits in one block: 8 MB in float32, about a cache


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-ln p of ``targets`` (n,), summed over those that aren't ``IGNORE``; logits (n, v).

    The compiler, and a GPU's kernels, fuse PyTorch's own well enough. Where ranks have a
    part of the vocabulary each, so does the loss: sums travel, not logits.
    """
    if hasattr(logits, "full_tensor"):
        loss = F.cross_entropy(
            logits.to(torch.promote_types(logits.dtype, torch.float32)),
            targets,
            ignore_index=IGNORE,
            reduction="sum",
        )
        return loss.full_tensor()  # type: ignore[attr-defined]
    if logits.device.type == "cpu" and not torch.compiler.is_compiling():
        return CrossEntropy.apply(logits, targets)  # type: ignore[no-any-return]
    return F.cross_entropy(
        logits.float(), targets, ignore_index=IGNORE, reduction="sum"
    )


class CrossEntropy(torch.autograd.Function):
    """The sum over rows of ``ln sum(exp(logits)) - logits[target]``.

    Its gradient, softmax less 1 at the target, takes the same exponentials as the loss: the
    forward pass makes both, and the backward pass only multiplies.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        """A scalar in float32, or float64 for such logits."""
        wide = torch.promote_types(logits.dtype, torch.float32)
        total = logits.new_zeros((), dtype=wide)
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(logits) if wanted else None
        size = max(1, AT_ONCE // logits.shape[-1])
        for start in range(0, len(targets), size):
            rows = slice(start, start + size)
            counts = (targets[rows] != IGNORE)[:, None]
            target = targets[rows, None].clamp(min=0)
            block = logits[rows].to(wide, copy=True)
            block -= block.amax(-1, keepdim=True)
            chosen = block.gather(-1, target)
            sums = block.exp_().sum(-1, keepdim=True)
            total += ((sums.log() - chosen) * counts).sum()
            if gradient is not None:
                block *= counts / sums
                block.scatter_add_(-1, target, -counts.to(wide))
                gradient[rows] = block
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """The gradient of the logits."""
        (gradient,) = ctx.saved_tensors
        return gradient * outer, None
