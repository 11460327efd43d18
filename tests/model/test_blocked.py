"""Attention in blocks equals attention written out, with its gradients."""

import pytest
import torch

from hornbook.model import blocked
from hornbook.model.attention import attend, attend_plainly
from hornbook.model.blocked import BLOCK, BlockedAttention


def inputs(
    time: int, past: int, kv_heads: int = 4, width: int = 8, dtype=torch.float32
):
    torch.manual_seed(0)
    shapes = ((2, 4, time, 8), (2, kv_heads, past, 8), (2, kv_heads, past, width))
    return [torch.randn(s, dtype=dtype).requires_grad_() for s in shapes]


def masks(time: int, past: int) -> dict[str, torch.Tensor | None]:
    distance = torch.arange(past - time, past)[:, None] - torch.arange(past)
    seen = (distance >= 0) & (distance < 7)
    bias = (-0.3 * distance).masked_fill(distance < 0, float("-inf")).float()
    rows = torch.stack((seen, distance >= 0))[:, None]
    return {"window": seen, "alibi": bias, "by row": rows}


CASES = [
    (time, past, name) for time, past in ((20, 20), (9, 30)) for name in masks(9, 9)
]


@pytest.mark.parametrize("block", [1, 8, 32])
@pytest.mark.parametrize(("time", "past", "name"), [(20, 20, "causal"), *CASES])
def test_blocks_equal_the_whole(block, time, past, name, monkeypatch):
    monkeypatch.setattr(blocked, "BLOCK", block)
    mask = None if name == "causal" else masks(time, past)[name]
    results = []
    for path in (attend_plainly, BlockedAttention.apply):
        given = inputs(time, past, width=5)
        mixed = path(*given, mask)
        mixed.square().sum().backward()
        results.append([mixed, *(x.grad for x in given)])
    for plain, block_by_block in zip(*results, strict=True):
        torch.testing.assert_close(plain, block_by_block, atol=1e-5, rtol=1e-4)


def test_gradients_equal_finite_differences(monkeypatch):
    monkeypatch.setattr(blocked, "BLOCK", 4)
    given = inputs(6, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *x: BlockedAttention.apply(*x, None), given)


def test_grouped_queries_share_their_gradient():
    results = []
    for path in (attend_plainly, attend):
        given = inputs(BLOCK + 12, BLOCK + 12, kv_heads=2)
        path(*given, None).square().sum().backward()
        results.append([x.grad for x in given])
    for plain, block_by_block in zip(*results, strict=True):
        torch.testing.assert_close(plain, block_by_block, atol=1e-5, rtol=1e-4)


def test_scores_beyond_what_exp_can_hold_stay_finite():
    query, key, value = inputs(16, 16)
    mixed = BlockedAttention.apply(query * 300, key, value, None)
    mixed.sum().backward()
    assert mixed.isfinite().all()
    assert query.grad.isfinite().all()


def test_bfloat16_stays_near_float32():
    exact, rounded = (
        BlockedAttention.apply(*(x.to(dtype) for x in inputs(40, 40)), None)
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert rounded.dtype == torch.bfloat16
    assert (exact - rounded.float()).abs().mean() < 0.01
