"""Inside the model while it reads a text: what each layer would say, and where it looks.

Hooks listen to the blocks of an unchanged model; nothing of it is computed twice but the
attention weights, which the fused kernel never writes down. Those are what attention
returns when the values are the identity matrix, so masks, windows and caps are in them.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hornbook.infer.engine import Engine
from hornbook.model.attention import Attention, attend
from hornbook.model.rope import rotate
from hornbook.model.transformer import Transformer
from hornbook.serve.logprobs import spelled

MOST_TOKENS = 96  # looked at; a picture of more would show nothing
TOP = 5  # likeliest tokens told of each place


@torch.inference_mode()
def look(engine: Engine, text: str) -> dict[str, Any]:
    """Tokens, the likeliest next ones, and the logit lens of every layer.

    The lens reads each layer's stream as if it were the last (nostalgebraist 2020): for
    each place the token it makes likeliest, and how likely.
    """
    ids = _ids(engine, text)
    model, tokenizer = engine.model, engine.tokenizer
    with _streams(model) as streams:
        hidden = model.hidden(torch.tensor([ids], device=model.embedding.weight.device))
    shares = model.unembed(hidden)[0].float().softmax(dim=-1)
    likeliest, places = shares.topk(TOP, dim=-1)
    lens = []
    for stream in streams:
        layer = model.unembed(model.norm(stream))[0].float().softmax(dim=-1)
        values, tokens = layer.max(dim=-1)
        lens.append(
            {
                "tokens": [spelled(tokenizer, t) for t in tokens.tolist()],
                "shares": _rounded(values),
            }
        )
    known = shares[:-1].gather(1, torch.tensor(ids[1:], device=shares.device)[:, None])
    return {
        "tokens": [spelled(tokenizer, token) for token in ids],
        "ids": ids,
        "shares": [None, *_rounded(known[:, 0])],
        "next": [
            {"tokens": [spelled(tokenizer, t) for t in row], "shares": _rounded(values)}
            for row, values in zip(places.tolist(), likeliest, strict=True)
        ],
        "lens": lens,
        "heads": [_heads(block) for block in model.blocks],
    }


@torch.inference_mode()
def attention_maps(engine: Engine, text: str, layer: int) -> dict[str, Any]:
    """The weights of one layer's heads, (heads, time, time), as bytes 0 to 255 in base 64.

    Row ``i`` says where token ``i`` looks. A layer of another kind has none to show.
    """
    ids, model = _ids(engine, text), engine.model
    if not 0 <= layer < len(model.blocks) or not _heads(model.blocks[layer]):
        return {"heads": 0, "time": len(ids), "weights": ""}
    weights = attention_weights(model, ids, layer)
    data = (weights * 255).round().to(torch.uint8).cpu().numpy().tobytes()
    heads, time = weights.shape[:2]
    return {"heads": heads, "time": time, "weights": base64.b64encode(data).decode()}


def attention_weights(model: Transformer, ids: list[int], layer: int) -> Tensor:
    """The weights (heads, time, time) with which ``layer`` mixes its values."""
    attention = model.blocks[layer].attention
    assert isinstance(attention, Attention)
    tokens = torch.tensor([ids], device=model.embedding.weight.device)
    caught: dict[str, Tensor] = {}
    hooks = [
        getattr(attention, f"{name}_norm").register_forward_hook(
            lambda _module, _inputs, output, name=name: caught.update({name: output})
        )
        for name in ("query", "key")
    ]
    try:
        model.hidden(tokens)
    finally:
        for hook in hooks:
            hook.remove()
    sight = model.sight(tokens, None, None)
    query, key = (caught[name].transpose(1, 2) for name in ("query", "key"))
    if sight.turns is not None:
        query, key = rotate(query, sight.turns), rotate(key, sight.turns)
    everything = torch.eye(len(ids), device=key.device, dtype=key.dtype)
    values = everything.expand(1, key.shape[1], -1, -1)
    mask = sight.masks[attention.window]
    return attend(query, key, values, mask, attention.score_cap)[0].float()


@contextmanager
def _streams(model: Transformer) -> Iterator[list[Tensor]]:
    """What each block hands to the next during a forward pass."""
    caught: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda *args: caught.append(args[2]))
        for block in model.blocks
    ]
    try:
        yield caught
    finally:
        for hook in hooks:
            hook.remove()


def _ids(engine: Engine, text: str) -> list[int]:
    ids = engine.tokenizer.encode(text)
    most = min(MOST_TOKENS, engine.model.config.context_length)
    return ids[:most] or [min(engine.stop_ids, default=0)]


def _heads(block: nn.Module) -> int:
    attention = block.attention
    if not isinstance(attention, Attention):
        return 0
    return attention.query.out_features // attention.d_head


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 5) for value in values.tolist()]
