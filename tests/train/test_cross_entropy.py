"""Cross-entropy in blocks is PyTorch's, with its gradient."""

import pytest
import torch
import torch.nn.functional as F

from hornbook.data.batch import IGNORE
from hornbook.train import cross_entropy as module
from hornbook.train.cross_entropy import CrossEntropy, cross_entropy


def inputs(dtype: torch.dtype, rows: int = 37, vocabulary: int = 51):
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(rows, vocabulary, generator=generator)
    targets = torch.randint(vocabulary, (rows,), generator=generator)
    targets[[0, rows // 3, rows - 1]] = IGNORE
    return logits.to(dtype).requires_grad_(), targets


@pytest.mark.parametrize("at_once", [1, 51 * 8, 1 << 21])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_loss_and_gradient_equal_pytorchs(dtype, at_once, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    logits, targets = inputs(dtype)
    results = []
    for loss in (
        cross_entropy(logits, targets),
        F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum"),
    ):
        (gradient,) = torch.autograd.grad(loss / 34, logits)
        assert loss.dtype == dtype
        results.append((loss, gradient))
    torch.testing.assert_close(*results)


def test_gradient_equals_finite_differences():
    logits, targets = inputs(torch.float64, rows=5, vocabulary=7)
    assert torch.autograd.gradcheck(lambda x: CrossEntropy.apply(x, targets), logits)


def test_bfloat16_logits_lose_no_more_than_their_own_rounding():
    logits, targets = inputs(torch.bfloat16)
    exact = logits.detach().float().requires_grad_()
    loss, right = cross_entropy(logits, targets), cross_entropy(exact, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, right)
    (loss / 34).backward()
    (right / 34).backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16
    torch.testing.assert_close(logits.grad.float(), exact.grad, atol=1e-5, rtol=1e-2)


def test_logits_too_large_for_exp_and_rows_without_a_target_stay_finite():
    logits = torch.tensor([[1e4, -1e4, 0.0], [1.0, 2.0, 3.0]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([1, IGNORE]))
    loss.backward()
    assert loss.item() == 2e4
    assert torch.equal(logits.grad, torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]))


def test_nothing_is_kept_where_no_gradient_is_wanted():
    logits, targets = inputs(torch.float32)
    with torch.no_grad():
        loss = cross_entropy(logits, targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, cross_entropy(logits, targets).detach())
