"""The next token of each of several sequences, from their logits."""

from collections.abc import Callable

from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.infer.logits import NEVER, adjust, is_plain
from hornbook.infer.request import Sequence, token_score
from hornbook.infer.sampling import sample, uniform

Banned = Callable[[frozenset[int]], Tensor]  # from a request's stop ids


def grow(sequences: list[Sequence], logits: Tensor, banned: Banned) -> None:
    """Let each sequence take a token, or end, by its row of ``logits`` (rows, vocab_size).

    The logits are changed in place. A sequence whose schema nothing can go on from fails.
    """
    scores = [_logprobs(s, row) for s, row in zip(sequences, logits, strict=True)]
    for sequence, row in zip(sequences, logits, strict=True):
        request = sequence.request
        if not is_plain(request.sampling):
            adjust(row, request.prompt, sequence.ids, request.sampling)
    for stop_ids, rows in _alike(sequences, lambda s: s.request.stop_ids):
        never = banned(stop_ids).to(logits.device)
        if len(rows) == len(logits):
            logits.index_fill_(1, never, NEVER)
        else:
            logits[rows] = logits[rows].index_fill_(1, never, NEVER)
    ready = [i for i, s in enumerate(sequences) if _guided(s, logits[i])]
    going, left = [sequences[i] for i in ready], logits
    if len(ready) < len(sequences):
        left = logits[ready]
    for i, token in zip(ready, _choose(going, left), strict=True):
        shares, count = scores[i], sequences[i].request.sampling.logprobs or 0
        score = None if shares is None else token_score(shares, token, count)
        sequences[i].take(token, score)


def _guided(sequence: Sequence, logits: Tensor) -> bool:
    """Leave only what the sequence's grammar allows; False if that is nothing."""
    if sequence.guide is None:
        return True
    try:
        allowed = sequence.guide.allowed(sequence.request.stop_ids)
    except UserError as error:
        sequence.fail(str(error))
        return False
    logits.masked_fill_(~allowed.to(logits.device), NEVER)
    return True


def _choose(sequences: list[Sequence], logits: Tensor) -> list[int]:
    """One token per row; rows with the same settings are sampled together."""
    chosen = [0] * len(sequences)
    for _, places in _alike(sequences, _settings):
        sampling = sequences[places[0]].request.sampling
        draws = [0.0] * len(places)
        if sampling.temperature:
            draws = [_draw(sequences[i]) for i in places]
        rows = logits if len(places) == len(chosen) else logits[places]
        for i, token in zip(places, sample(rows, draws, sampling), strict=True):
            chosen[i] = token
    return chosen


def _settings(sequence: Sequence) -> tuple:
    s = sequence.request.sampling
    return s.temperature, s.top_k, s.top_p, s.min_p


def _alike(sequences: list[Sequence], key: Callable[[Sequence], object]) -> list[tuple]:
    """Each key's value and the places of the sequences that have it."""
    groups: dict[object, list[int]] = {}
    for i, sequence in enumerate(sequences):
        groups.setdefault(key(sequence), []).append(i)
    return list(groups.items())


def _draw(sequence: Sequence) -> float:
    request = sequence.request
    return uniform(request.sampling.seed, request.number, len(sequence.ids))


def _logprobs(sequence: Sequence, logits: Tensor) -> Tensor | None:
    if sequence.request.sampling.logprobs is None:
        return None
    return logits.float().log_softmax(dim=-1)
