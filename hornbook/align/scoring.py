"""What a model thinks of given answers, token by token: the numbers that preferences and
rewards are learned from.

Prompts and padding are most of such a batch, and nobody asks how likely they are. So on a
processor, where time goes with every token, rows are read beside rows of about their own
length, and only places with a target are multiplied with the vocabulary.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from hornbook.data.batch import IGNORE

ALIKE = 16  # rows that are as many of these long (rounded up) are read together


class Reader(Protocol):
    """The two halves of a language model, as :class:`Transformer` has them."""

    def hidden(self, tokens: Tensor, /) -> Tensor:
        """(rows, time, d_model) of tokens (rows, time)."""
        ...

    def unembed(self, hidden: Tensor, /) -> Tensor:
        """Logits (..., vocab_size) of hidden states (..., d_model)."""
        ...


def log_probs(model: Reader, tokens: Tensor, targets: Tensor) -> Tensor:
    """Log-probability of each row's targets in nats, summed in float32.

    tokens, targets  (..., time); returns (...,)
    """
    shape, time = targets.shape[:-1], targets.shape[-1]
    tokens, targets = (part.reshape(-1, time) for part in (tokens, targets))
    hidden, places = at_targets(model, tokens, targets)
    nats = F.cross_entropy(
        model.unembed(hidden).float(),
        targets.flatten()[places],
        ignore_index=IGNORE,
        reduction="none",
    )
    return -spread(nats, places, targets).sum(-1).view(shape)


def token_log_probs(
    model: Reader, tokens: Tensor, targets: Tensor, banned: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability of every target, the same before bans, and the entropy there.

    All (answers, time), 0 where the target is ``IGNORE``. ``banned`` are the tokens that
    the engine never samples; they have no probability here either.
    """
    hidden, places = at_targets(model, tokens, targets)
    chosen = targets.flatten()[places]
    found = sampled_log_probs(model.unembed(hidden), chosen, banned)
    after, before, entropy = (spread(part, places, targets) for part in found)
    return after, before, entropy


def sampled_log_probs(
    logits: Tensor, targets: Tensor, banned: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`token_log_probs`, of logits (n, vocab_size) and their targets (n,)."""
    logits, counted = logits.float(), targets != IGNORE
    place = targets.clamp(min=0).unsqueeze(-1)
    picked = logits.detach().gather(-1, place).squeeze(-1)
    before = (picked - logits.detach().logsumexp(-1)) * counted
    never = torch.tensor(sorted(banned), dtype=torch.long, device=logits.device)
    shares = logits.index_fill(-1, never, -1e9).log_softmax(-1)
    with torch.no_grad():
        entropy = -(shares.exp() * shares).sum(-1) * counted
    return shares.gather(-1, place).squeeze(-1) * counted, before, entropy


def at_targets(model: Reader, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden states (n, d_model) of the places with a target, and those places (n,).

    A place is an index into the flattened ``tokens``. The compiler, which wants one shape,
    and a GPU, which would wait for the lengths, get every place, targets or not.
    """
    if tokens.device.type != "cpu" or torch.compiler.is_compiling():
        everywhere = torch.arange(tokens.numel(), device=tokens.device)
        return model.hidden(tokens).flatten(0, 1), everywhere
    counted, time = targets != IGNORE, tokens.shape[1]
    ends = (counted * torch.arange(1, time + 1)).amax(1)  # past a row's last target
    sizes = (ends + ALIKE - 1) // ALIKE
    found, places = [], []
    for size in sizes.unique().tolist():
        rows = (sizes == size).nonzero()[:, 0]
        seen = counted[rows, : size * ALIKE]
        if size:
            found.append(model.hidden(tokens[rows, : size * ALIKE])[seen])
            row, column = seen.nonzero().unbind(1)
            places.append(rows[row] * time + column)
    if not found:
        return model.hidden(tokens)[counted], counted.flatten().nonzero()[:, 0]
    return torch.cat(found), torch.cat(places)


def spread(values: Tensor, places: Tensor, targets: Tensor) -> Tensor:
    """``values`` (n,) at their places among ``targets`` (rows, time), 0 elsewhere."""
    empty = values.new_zeros(targets.numel())
    return empty.index_put((places,), values).view(targets.shape)
