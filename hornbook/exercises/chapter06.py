"""Exercises of chapter 6: the block, and counting it."""

import torch
from torch import Tensor

from hornbook.exercises.judge import expect, expect_close
from hornbook.model import sizes
from hornbook.model.experts import imbalance
from hornbook.model.norm import RMSNorm
from hornbook.model.presets import PRESETS


def rms_norm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    """Return `x`, (..., width), with each vector divided by its root mean square, times `gain`.

    `eps` is added to the mean of the squares. Squares are summed in float32 even where `x`
    is in bfloat16, and the result has the dtype of `x`.
    """
    raise NotImplementedError


def check_rms_norm(answer) -> None:
    """Beside the norm of the model, in three dtypes."""
    torch.manual_seed(0)
    norm = RMSNorm(32, 1e-5)
    norm.weight.data = torch.rand(32) + 0.5
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        x = (300 * torch.randn(3, 5, 32)).to(dtype)
        got = answer(x.clone(), norm.weight.detach(), 1e-5)
        expect(got.dtype == dtype, f"The result of {dtype} should be {dtype}.")
        expect_close(got.float(), norm(x).detach().float(), f"{dtype}", within=1e-5)


def gpt2_parameters(n_layers: int, d_model: int, vocab: int, context: int) -> int:
    """Return how many parameters a model of GPT-2's kind has.

    Token and position embeddings, the head tied to the first; in each layer four matrices of
    attention and two of a feed-forward layer four times as wide, all with biases; two layer
    norms with gain and bias in each layer, and one at the end.
    """
    raise NotImplementedError


def check_gpt2_parameters(answer) -> None:
    """The four published sizes."""
    for name in ("gpt2-124m", "gpt2-355m", "gpt2-774m", "gpt2-1.5b"):
        shape = PRESETS.get(name)
        if shape is None:
            continue
        want = sum(sizes.parameters(shape).values())
        given = (shape.n_layers, shape.d_model, shape.vocab_size, shape.context_length)
        got = answer(*given)
        expect(got == want, f"{name} has {want:,} parameters, not {got:,}.")


def training_flops(
    weights: int, n_layers: int, d_model: int, tokens: int, time: int
) -> float:
    """Return the operations of training on `tokens` tokens in causal rows of `time`.

    `weights` are those that multiply every token. Attention has heads that together are
    `d_model` wide; a token looks at half of the row on average, scores and values both.
    """
    raise NotImplementedError


def check_training_flops(answer) -> None:
    """Beside the count of the planner."""
    shape = PRESETS["gpt2-124m"]
    weights = round(
        sizes.flops_per_token(shape, 1) / 6 - shape.n_layers * shape.d_model
    )
    for time in (128, 1024):
        want = 1000 * sizes.flops_per_token(shape, time)
        got = answer(weights, shape.n_layers, shape.d_model, 1000, time)
        expect(
            abs(got / want - 1) < 1e-6,
            f"A thousand tokens in rows of {time} take {want:.6g} operations, not {got:.6g}.",
        )


def balance(scores: Tensor, active: int) -> Tensor:
    """Return the load-balancing loss of one layer's router, a scalar.

    `scores` is (tokens, experts); each token goes to its `active` best. Multiply, for every
    expert, its share of all choices by its mean probability under a softmax over all
    experts; sum, and multiply by the number of experts.
    """
    raise NotImplementedError


def check_balance(answer) -> None:
    """Even and uneven routers, beside the layer's own."""
    torch.manual_seed(4)
    for lean in (0.0, 3.0):
        scores = torch.randn(200, 6)
        scores[:, 2] += lean
        chosen = scores.topk(2, -1).indices
        expect_close(answer(scores.clone(), 2), imbalance(scores, chosen), "The loss")
