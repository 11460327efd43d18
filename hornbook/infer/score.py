"""How likely a text is: the log-probability of each token given the ones before it."""

import torch
from torch import Tensor

from hornbook.model.transformer import Transformer

TOKENS_AT_ONCE = 4096  # in one forward pass; bounds the activations
LOGITS_AT_ONCE = 1 << 24  # numbers in one slice of logits; 64 MiB


@torch.inference_mode()
def score(model: Transformer, sequences: list[list[int]]) -> list[list[float]]:
    """``log p(ids[i] | ids[:i])`` in nats for ``i = 1, 2, ...`` of each sequence.

    Computed in float32. Sequences longer than the context are scored in windows that
    overlap by half, so every token is predicted once, from at least half a context.
    """
    results = [[0.0] * max(len(ids) - 1, 0) for ids in sequences]
    spans = [
        (len(ids[a:b]) - 1, n, a, first)
        for n, ids in enumerate(sequences)
        for a, b, first in windows(len(ids), model.config.context_length)
    ]
    spans.sort(reverse=True)  # like lengths together: little padding
    while spans:
        rows = max(1, TOKENS_AT_ONCE // spans[0][0])
        batch, spans = spans[:rows], spans[rows:]
        pieces = [sequences[n][a : a + size + 1] for size, n, a, _ in batch]
        for (_, n, a, first), piece in zip(batch, _score(model, pieces), strict=True):
            results[n][a + first : a + len(piece)] = piece[first:]
    return results


def windows(length: int, context: int) -> list[tuple[int, int, int]]:
    """Cut ``length`` tokens into ``(start, end, first)``.

    A window reads ``start..end-2`` and predicts ``start+1..end-1``, at most ``context`` of
    them, of which those from its ``first``-th on haven't been predicted before.
    """
    spans, done = [], 1  # token 0 has nothing before it
    while done < length:
        end = min(length, done + (context if done == 1 else max(1, context // 2)))
        start = max(0, end - 1 - context)
        spans.append((start, end, done - start - 1))
        done = end
    return spans


def _score(model: Transformer, pieces: list[list[int]]) -> list[list[float]]:
    device = model.embedding.weight.device
    longest = max(map(len, pieces))
    # Padding stands after what counts, where no earlier token sees it.
    padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in pieces])
    padded = padded.to(device)
    hidden = model.hidden(padded[:, :-1])
    return [
        _chosen(model, hidden[row, : len(ids) - 1], padded[row, 1 : len(ids)])
        for row, ids in enumerate(pieces)
    ]


def _chosen(model: Transformer, hidden: Tensor, targets: Tensor) -> list[float]:
    size = max(1, LOGITS_AT_ONCE // model.config.vocab_size)
    result = []
    for states, wanted in zip(hidden.split(size), targets.split(size), strict=True):
        shares = model.unembed(states).float().log_softmax(dim=-1)
        result += shares.gather(1, wanted[:, None]).squeeze(1).tolist()
    return result
