"""What a token may see: earlier tokens, of its own document, within its layer's window."""

import torch
from torch import Tensor

from hornbook.model.config import ModelConfig
from hornbook.model.position import alibi_slopes


def windows(config: ModelConfig) -> list[int]:
    """Each layer's window in tokens, 0 for the whole context."""
    pattern = config.windows or (0,)
    return [pattern[layer % len(pattern)] for layer in range(config.n_layers)]


def masks(
    config: ModelConfig,
    time: int,
    segments: Tensor | None,
    positions: Tensor | None,
    past: int,
    device: torch.device,
) -> dict[int, Tensor | None]:
    """For each window that occurs, the mask of ``time`` new tokens over ``past`` places.

    Bool, True for "may see" (or with ALiBi float, to be added to the scores); broadcasts to
    (batch, heads, time, past). None stands for plain causal, which the fused kernel knows
    by itself. ``positions`` (batch, time) are the new tokens' places when they continue a
    cache, else None. ``segments`` (batch, time): document numbers.
    """
    return {
        window: _mask(config, window, time, segments, positions, past, device)
        for window in set(windows(config))
    }


def _mask(
    config: ModelConfig,
    window: int,
    time: int,
    segments: Tensor | None,
    positions: Tensor | None,
    past: int,
    device: torch.device,
) -> Tensor | None:
    alibi = config.position == "alibi"
    narrow = 0 < window < past
    if segments is None and positions is None and not narrow and not alibi:
        return None
    places = torch.arange(past, device=device)
    mine = places[None, :time] if positions is None else positions
    distance = (mine[:, :, None] - places).unsqueeze(1)
    seen = distance >= 0
    if narrow:
        seen = seen & (distance < window)
    if segments is not None:
        seen = seen & (segments[:, :, None] == segments[:, None, :]).unsqueeze(1)
    if not alibi:
        return seen
    slopes = torch.tensor(alibi_slopes(config.n_heads), device=device)
    return (-slopes[:, None, None] * distance).masked_fill(~seen, float("-inf"))
