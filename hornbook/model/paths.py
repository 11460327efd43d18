"""Other ways to compute attention on a GPU: PyTorch's FlexAttention, and FlashAttention.

PyTorch's fused kernel, the usual path (attention.py), takes anything but "causal" as a mask
written out, (time, time) for every row. These two take the rule itself, windows, documents,
ALiBi and capped scores included, and skip what it hides. Choose one with
``use_path(model, "flex")``; it serves training and reading whole rows, while decoding with
a cache stays on the usual path. Neither trains on a CPU, where neither is faster.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import (
    BlockMask,
    create_block_mask,
    flex_attention,
)

from hornbook.core.errors import UserError
from hornbook.model.config import ModelConfig
from hornbook.model.mask import windows
from hornbook.model.position import alibi_slopes

Path = Literal["usual", "flex", "flash"]


def use_path(model: nn.Module, path: Path) -> None:
    """Let ``model`` attend by ``path`` from now on.

    Raises :class:`UserError` for FlashAttention where its package is not installed.
    """
    if path == "flash" and find_spec("flash_attn") is None:
        raise UserError(
            "The path 'flash' needs the package flash-attn, which is not installed; "
            "'flex' and 'usual' need nothing."
        )
    model.path = path  # type: ignore[assignment]


def rules(
    path: Path, config: ModelConfig, time: int, segments: Tensor | None, device: Any
) -> dict[int, "FlexRule | FlashRule"]:
    """For each window that occurs, what the tokens of whole rows may see.

    ``segments`` (batch, time): document numbers, or None.
    """
    slopes = None
    if config.position == "alibi":
        slopes = torch.tensor(alibi_slopes(config.n_heads), device=device)
    found: dict[int, FlexRule | FlashRule] = {}
    for window in set(windows(config)):
        if path == "flash":
            bounds = None if segments is None else document_bounds(segments)
            found[window] = FlashRule(window, bounds, slopes)
        else:
            rows = None if segments is None else len(segments)
            block = create_block_mask(
                _visible(window, segments), rows, None, time, time, device
            )
            found[window] = FlexRule(block, slopes)
    return found


def _visible(window: int, segments: Tensor | None) -> Callable[..., Tensor]:
    """FlexAttention's form of mask.py: whether ``place`` is seen from ``mine``."""

    def visible(batch: Tensor, head: Tensor, mine: Tensor, place: Tensor) -> Tensor:
        seen = mine >= place
        if window:
            seen = seen & (mine - place < window)
        if segments is not None:
            seen = seen & (segments[batch, mine] == segments[batch, place])
        return seen

    return visible


@dataclass(frozen=True)
class FlexRule:
    """Blocks of the score matrix to compute, and ALiBi's slopes (heads,)."""

    block: BlockMask
    slopes: Tensor | None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, cap: float) -> Tensor:
        """As :func:`hornbook.model.attention.attend`.

        Raises :class:`UserError` for training on a CPU, which FlexAttention can't.
        """
        on_cpu = query.device.type == "cpu"
        if on_cpu and torch.is_grad_enabled() and query.requires_grad:
            raise UserError(
                "FlexAttention doesn't train on a CPU; take the path 'usual'."
            )
        slopes = self.slopes

        def score(s: Tensor, b: Tensor, head: Tensor, mine: Tensor, place: Tensor):
            s = cap * torch.tanh(s / cap) if cap else s
            return s if slopes is None else s - slopes[head] * (mine - place)

        kernel = flex_attention
        if not on_cpu and not torch.compiler.is_compiling():
            kernel = _compiled_flex()
        mixed = kernel(
            query,
            key,
            value,
            score_mod=score if cap or slopes is not None else None,
            block_mask=self.block,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        assert isinstance(mixed, Tensor)
        return mixed


@cache
def _compiled_flex() -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=False)


@dataclass(frozen=True)
class FlashRule:
    """The window, where the documents of all rows end to end start, ALiBi's slopes."""

    window: int
    bounds: Tensor | None
    slopes: Tensor | None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, cap: float) -> Tensor:
        """As :func:`hornbook.model.attention.attend`, in bfloat16 or float16 only."""
        import flash_attn  # type: ignore[import-not-found]

        if query.dtype not in (torch.bfloat16, torch.float16):
            raise UserError(
                "FlashAttention works in bfloat16 only: set 'pretrain.precision'."
            )
        batch, _, time, _ = query.shape
        width = value.shape[-1]
        value = F.pad(value, (0, key.shape[-1] - width))  # it wants both alike
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        settings = {
            "causal": True,
            "window_size": (self.window - 1, 0) if self.window else (-1, -1),
            "softcap": cap,
            "alibi_slopes": self.slopes,
        }
        if self.bounds is None:
            mixed = flash_attn.flash_attn_func(query, key, value, **settings)
        else:
            flat = (x.flatten(0, 1) for x in (query, key, value))
            mixed = flash_attn.flash_attn_varlen_func(
                *flat, self.bounds, self.bounds, time, time, **settings
            )
            mixed = mixed.unflatten(0, (batch, time))
        return mixed.transpose(1, 2)[..., :width]


def document_bounds(segments: Tensor) -> Tensor:
    """Where documents begin when rows (batch, time) lie end to end, and the very end."""
    new = torch.ones_like(segments, dtype=torch.bool)
    new[:, 1:] = segments[:, 1:] != segments[:, :-1]
    end = torch.tensor([segments.numel()], device=segments.device)
    return torch.cat((new.flatten().nonzero()[:, 0], end)).to(torch.int32)
