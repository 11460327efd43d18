"""Exercises of chapter 14: inference."""

import torch
from torch import Tensor

from hornbook.exercises.judge import expect, expect_close
from hornbook.infer.config import SamplingConfig
from hornbook.infer.quant.codes import quantize
from hornbook.infer.sampling import probabilities


def ceiling(parameters: int, bits: int, group: int, bandwidth: float) -> float:
    """Return how many tokens of one text a second memory allows at most.

    Each of the `parameters` weights is a code of `bits` bits; every `group` of them share a
    scale of 16 bits (a `group` of 0 means that there are no scales). `bandwidth` is in
    bytes a second, and a step reads every weight once.
    """
    raise NotImplementedError


def check_ceiling(answer) -> None:
    """Three formats of three sizes."""
    for parameters, bits, group, bandwidth in (
        (110_000_000, 32, 0, 2e10),
        (8_000_000_000, 4, 32, 1e11),
        (1000, 8, 64, 5e6),
    ):
        each = bits + (16 / group if group else 0)
        want = bandwidth / (parameters * each / 8)
        got = answer(parameters, bits, group, bandwidth)
        expect(
            abs(got - want) <= 1e-6 * want,
            f"{parameters:,} weights of {bits} bits in groups of {group}, at {bandwidth:g} "
            f"bytes a second, allow {want:.6g} tokens a second, not {got:.6g}.",
        )


def top_p(logits: Tensor, share: float) -> Tensor:
    """Return the probabilities that are left when only the likeliest tokens are kept.

    `logits` are (vocab_size,). Keep the fewest tokens, from the likeliest down, whose
    probabilities together reach `share`; at least one. The rest gets zero, and what is left
    adds up to one.
    """
    raise NotImplementedError


def check_top_p(answer) -> None:
    """Against the engine's own, on sharp and flat distributions."""
    generator = torch.Generator().manual_seed(2)
    for size, share in ((1.0, 0.9), (6.0, 0.5), (0.1, 0.3), (9.0, 0.05)):
        logits = size * torch.randn(50, generator=generator)
        got = answer(logits.clone(), share)
        want = probabilities(
            logits[None], SamplingConfig(temperature=1.0, top_p=share)
        )[0]
        expect(tuple(got.shape) == (50,), "The result should be (vocab_size,).")
        kept, right = int((got > 0).sum()), int((want > 0).sum())
        expect(
            kept == right,
            f"With a share of {share} you keep {kept} tokens, not {right}.",
        )
        expect_close(got, want, "The probabilities")


def agreement(p: Tensor, q: Tensor) -> float:
    """Return how often two models choose the same token with one point on a line.

    `p` and `q` are (vocab_size,) and sum to one. Both lay their probabilities end to end, in
    the order of the tokens' numbers, and choose the token on whose stretch one and the same
    uniform point falls. No random numbers are needed: measure the stretches.
    """
    raise NotImplementedError


def check_agreement(answer) -> None:
    """Hand-made cases, and a fine grid of points on random distributions."""
    whole = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    got = float(answer(whole, whole.clone()))
    expect(abs(got - 1) < 1e-9, f"Equal distributions always agree; you say {got:.3f}.")
    moved = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    got = float(answer(whole, moved))
    expect(
        abs(got - 0.75) < 1e-9,
        f"(1/4, 1/2, 1/4) and (1/2, 1/4, 1/4) agree on 3/4, not {got:.3f}.",
    )
    torch.manual_seed(3)
    p, q = torch.rand(2, 9, dtype=torch.float64).softmax(-1)
    points = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    mine, theirs = (torch.searchsorted(x.cumsum(0), points) for x in (p, q))
    want = float((mine == theirs).double().mean())
    got = float(answer(p, q))
    expect(abs(got - want) < 1e-3, f"On nine tokens it is {want:.4f}, not {got:.4f}.")


def codes_of(weights: Tensor, bits: int) -> tuple:
    """Return the codes of one group of weights, and the scale they share.

    `weights` are (group,). The scale, a float, gives the largest weight the largest code,
    `2 ** (bits - 1) - 1`; each code (an integer tensor) is the nearest to its weight.
    A group of zeros has only zeros as codes.
    """
    raise NotImplementedError


def check_codes_of(answer) -> None:
    """Against the program's own at 8 bits, the error's bound at others, and zeros."""
    torch.manual_seed(4)
    weights = torch.randn(32)
    codes, scale = answer(weights.clone(), 8)
    want = quantize(weights[None], 8, 32)
    expect(
        int((codes.to(torch.int64) - want.codes[0]).abs().max()) <= 1,
        "At 8 bits your codes are not the nearest ones.",
    )
    for bits in (3, 4, 6):
        codes, scale = answer(weights.clone(), bits)
        most = 2 ** (bits - 1) - 1
        expect(
            int(codes.abs().max()) == most,
            f"With {bits} bits the largest code is {most}.",
        )
        error = float((codes.float() * float(scale) - weights).abs().max())
        expect(
            error <= 0.5001 * float(scale),
            f"With {bits} bits an error is {error:.4f}: more than half a step.",
        )
    codes, scale = answer(torch.zeros(32), 4)
    expect(int(codes.abs().max()) == 0, "A group of zeros should have codes of zero.")
