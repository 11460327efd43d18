"""Log-probabilities as the API words them, and those of a prompt's own tokens."""

from collections import deque
from typing import Any

import torch

from hornbook.infer.request import TokenScore, token_score
from hornbook.infer.text import StreamDecoder
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer

LOGITS_AT_ONCE = 1 << 22  # numbers in one slice of a prompt's logits; 16 MiB


@torch.inference_mode()
def prompt_scores(
    model: Transformer, ids: list[int], count: int
) -> list[TokenScore | None]:
    """How likely each token of a prompt was after those before it; of the first, None.

    In float32, with the ``count`` likeliest of each place.
    """
    device = model.embedding.weight.device
    found: list[TokenScore | None] = [None]
    if len(ids) < 2:
        return found
    hidden = model.hidden(torch.tensor([ids[:-1]], device=device))[0]
    size = max(1, LOGITS_AT_ONCE // model.config.vocab_size)
    for start, states in enumerate(hidden.split(size)):
        rows = model.unembed(states).float().log_softmax(dim=-1)
        tokens = ids[1 + start * size :]
        found += [
            token_score(row, token, count)
            for row, token in zip(rows, tokens, strict=False)
        ]
    return found


def spelled(tokenizer: Tokenizer, token: int) -> str:
    """A token's text; one that is no whole text is written byte by byte.

    So no two tokens are spelled alike, as U+FFFD would have many be.
    """
    data = tokenizer.token_bytes(token) if token < tokenizer.vocab_size else b""
    if not data:
        return f"<|unused-{token}|>"
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def chat_scores(tokenizer: Tokenizer, scores: list[TokenScore]) -> dict[str, Any]:
    """The ``logprobs`` of a chat choice."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        return {
            "token": spelled(tokenizer, token),
            "logprob": logprob,
            "bytes": list(tokenizer.token_bytes(token)),
        }

    content = [
        entry(score.token, score.logprob)
        | {"top_logprobs": [entry(*pair) for pair in score.top.items()]}
        for score in scores
    ]
    return {"content": content, "refusal": None}


class CompletionScores:
    """The ``logprobs`` of a completion's choice, piece by piece; offsets count characters."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self._decoder: StreamDecoder = tokenizer.stream_decoder()
        self._offset = 0

    def of(
        self, tokens: list[int], scores: list[TokenScore | None]
    ) -> dict[str, list[Any]]:
        """What is told of the next ``tokens``."""
        table: dict[str, list[Any]] = {
            "tokens": [spelled(self.tokenizer, token) for token in tokens],
            "token_logprobs": [s and s.logprob for s in scores],
            "top_logprobs": [s and self._top(s) for s in scores],
            "text_offset": [],
        }
        for token in tokens:
            table["text_offset"].append(self._offset)
            self._offset += len(self._decoder.push(token))
        return table

    def _top(self, score: TokenScore) -> dict[str, float]:
        """The likeliest, and the token itself, by their spelling."""
        top: dict[str, float] = {}
        for token, logprob in (*score.top.items(), (score.token, score.logprob)):
            top.setdefault(spelled(self.tokenizer, token), logprob)
        return top


class Held:
    """Scores of tokens whose text is not out yet: it may still become a stop string."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._waiting: deque[tuple[int, TokenScore]] = deque()
        self._read = self._shown = 0  # bytes

    def release(
        self, scores: list[TokenScore], text: str, finish_reason: str | None
    ) -> list[TokenScore]:
        """The scores of the tokens that ``text``, which is out now, is made of."""
        for score in scores:
            self._waiting.append((self._read, score))
            self._read += len(self._tokenizer.token_bytes(score.token))
        self._shown += len(text.encode())
        every = finish_reason == "length"
        out = []
        while self._waiting and (every or self._waiting[0][0] < self._shown):
            out.append(self._waiting.popleft()[1])
        return out
