"""POST /v1/embeddings: a text as one vector, the model's own view of it.

That is the mean over all tokens of the last block's normalised output (or that of the last
token), of length 1. A language model that was trained for nothing else makes no great
embeddings; they group texts by topic and style.
"""

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from starlette.requests import Request
from starlette.responses import Response

from hornbook.serve.completions import prompts_of
from hornbook.serve.errors import ApiError, json_response
from hornbook.serve.requests import EmbeddingRequest
from hornbook.serve.service import Service
from hornbook.serve.stream import unless_gone

if TYPE_CHECKING:
    from hornbook.infer.engine import Engine


async def embed(
    service: Service, asked: EmbeddingRequest, request: Request
) -> Response:
    """One vector for each input, in order."""
    name, engine = service.pick(asked.model)
    prompts = prompts_of(engine, asked.input)
    service.check_count(len(prompts))
    context = engine.model.config.context_length
    longest = max(map(len, prompts))
    if longest > context:
        told = (
            f"An input has {longest} tokens, and the model's context holds {context}."
        )
        raise ApiError(400, told, "context_length_exceeded", "input")
    work = [
        service.worker.call(name, lambda e, p=prompt: _vector(e, p, asked.pooling))
        for prompt in prompts
    ]
    vectors = await unless_gone(request, _gather(work))
    service.meters.prompt_tokens.inc(sum(map(len, prompts)))
    return json_response(
        {
            "object": "list",
            "model": name,
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": _encoded(vector, asked.encoding_format),
                }
                for index, vector in enumerate(vectors)
            ],
            "usage": {
                "prompt_tokens": sum(map(len, prompts)),
                "total_tokens": sum(map(len, prompts)),
            },
        }
    )


async def _gather(work: list[Any]) -> list[np.ndarray]:
    return await asyncio.gather(*work)


@torch.inference_mode()
def _vector(engine: "Engine", prompt: list[int], pooling: str) -> np.ndarray:
    if not prompt or max(prompt) >= engine.model.config.vocab_size:
        raise ApiError(400, "An input holds no token, or one outside the vocabulary.")
    tokens = torch.tensor([prompt], device=engine.model.embedding.weight.device)
    hidden = engine.model.hidden(tokens)[0].float()
    pooled = hidden.mean(dim=0) if pooling == "mean" else hidden[-1]
    return torch.nn.functional.normalize(pooled, dim=0).cpu().numpy()


def _encoded(vector: np.ndarray, encoding: str) -> Any:
    """Numbers, or the bytes of little-endian float32 in base 64, as OpenAI's client asks."""
    if encoding == "float":
        return vector.tolist()
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
