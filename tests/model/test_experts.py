"""Experts: the right ones answer, evenly used if asked, without touching the objective."""

import torch
from shapes import random_model, random_tokens, tiny

from hornbook.model.experts import (
    AddLoss,
    grouped_product,
    grouped_product_masked,
    grouped_product_plainly,
    imbalance,
)


def test_a_layer_of_experts_equals_each_token_asking_its_own():
    config = tiny("experts")
    layer = random_model(config).blocks[0].feed_forward
    x = torch.randn(2, 5, config.d_model)
    answers = layer(x)
    for row in range(2):
        for t in range(5):
            scores = layer.router(x[row, t])
            best, chosen = scores.topk(2)
            shares = best.softmax(-1)
            expected = sum(
                share * layer.experts[e](x[row, t])
                for share, e in zip(shares, chosen.tolist(), strict=True)
            )
            torch.testing.assert_close(answers[row, t], expected, atol=1e-5, rtol=1e-4)


def test_an_expert_without_tokens_is_passed_over():
    x, weights = torch.randn(3, 16), torch.randn(3, 8, 16)
    ends = torch.tensor([2, 2, 3], dtype=torch.int32)
    expected = torch.cat((x[:2] @ weights[0].T, x[2:] @ weights[2].T))
    for product in (grouped_product, grouped_product_masked, grouped_product_plainly):
        torch.testing.assert_close(product(x, weights, ends), expected)


def test_imbalance_is_one_when_even_and_the_number_of_experts_when_one_gets_all():
    even = torch.zeros(8, 4)
    chosen = torch.arange(8)[:, None] % 4
    torch.testing.assert_close(imbalance(even, chosen), torch.tensor(1.0))
    one = torch.tensor([[50.0, 0, 0, 0]] * 8)
    torch.testing.assert_close(
        imbalance(one, one.argmax(1)[:, None]), torch.tensor(4.0)
    )


def test_add_loss_changes_no_value_and_adds_its_gradient():
    x, y = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    out = AddLoss.apply(x, (y**2).sum())
    assert torch.equal(out, x)
    (3 * out).sum().backward()
    assert torch.equal(x.grad, torch.full((3,), 3.0))
    torch.testing.assert_close(y.grad, 2 * y.detach())


def test_training_on_balance_alone_evens_out_the_router():
    config = tiny("experts", experts={"count": 4, "active": 2, "balance": 1.0})
    layer = random_model(config).blocks[0].feed_forward.train()
    x = torch.randn(1, 256, config.d_model) + 1.0  # a shared direction: one favourite
    with torch.no_grad():
        layer.router.weight[:2] += 0.2

    def now():
        scores = layer.router(x[0])
        return imbalance(scores, scores.topk(2).indices).item()

    before = now()
    optimizer = torch.optim.Adam([layer.router.weight], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        (0.0 * layer(x)).sum().backward()
        optimizer.step()
    assert now() - 1 < (before - 1) / 3


def test_balance_is_for_training_only():
    config = tiny("experts")
    model, tokens = random_model(config), random_tokens(config, 1, 8)
    router = model.blocks[0].feed_forward.router.weight
    gradients = []
    for training in (False, True):
        model.train(training)
        model.zero_grad()
        (0.0 * model(tokens)).sum().backward()
        gradients.append(router.grad.abs().sum().item())
    assert gradients[0] == 0
    assert gradients[1] > 0
