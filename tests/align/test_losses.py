import math
from types import SimpleNamespace

import pytest
import torch

from hornbook.align.config import DPOConfig
from hornbook.align.losses import (
    Scores,
    dpo,
    kto,
    log1mexp,
    orpo,
    preference_objective,
    simpo,
)
from hornbook.align.messages import Preference, user
from hornbook.align.preference import encode_labelled, encode_pairs, with_reference
from hornbook.align.scoring import log_probs
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer
from hornbook.train.config import TrainConfig

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])
TRAIN = TrainConfig(steps=1)
PREFERENCES = [
    Preference([user(f"Number {i}?")], f"{'good ' * (i % 3)}{i}", f"bad{'!' * i}")
    for i in range(7)
]


def make_model(seed=0):
    torch.manual_seed(seed)
    config = ModelConfig(
        n_layers=2,
        d_model=32,
        n_heads=4,
        n_kv_heads=2,
        context_length=64,
        vocab_size=TOKENIZER.vocab_size,
    )
    model = Transformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def objective(**settings):
    return preference_objective(DPOConfig(train=TRAIN, **settings))


@pytest.fixture(scope="module")
def pairs():
    encoded = encode_pairs(PREFERENCES, TOKENIZER, 64)
    return with_reference(encoded, make_model(1), batch=3, device=torch.device("cpu"))


@pytest.fixture
def scores():
    """Random scores of five pairs, the policy's with a gradient."""
    torch.manual_seed(3)
    lengths = torch.randint(2, 9, (5, 2))
    policy, reference = (-torch.rand(5, 2) * 3 * lengths for _ in range(2))
    return Scores(policy.requires_grad_(), reference, lengths)


def plain_log_prob(model, preference, answer):
    """One sequence at a time, no padding: what the batched code must equal."""
    special = TOKENIZER.special
    prompt = [special["<|user|>"], *TOKENIZER.encode(preference.prompt[0]["content"])]
    prompt += [special["<|end|>"], special["<|assistant|>"]]
    ids = prompt + TOKENIZER.encode(answer) + [special["<|end|>"]]
    logits = model(torch.tensor([ids]))[0].double().log_softmax(-1)
    places = range(len(prompt), len(ids))
    return torch.stack([logits[p - 1, ids[p]] for p in places]).sum()


def plain_dpo(model, reference, beta, sft_weight):
    """The paper's formula, pair by pair."""
    total = torch.zeros((), dtype=torch.float64)
    for pair in PREFERENCES:
        answers = pair.chosen, pair.rejected
        policy = [plain_log_prob(model, pair, answer) for answer in answers]
        with torch.no_grad():
            frozen = [plain_log_prob(reference, pair, answer) for answer in answers]
        margin = beta * ((policy[0] - frozen[0]) - (policy[1] - frozen[1]))
        length = len(TOKENIZER.encode(pair.chosen)) + 1
        total = (
            total + torch.log1p(torch.exp(-margin)) - sft_weight * policy[0] / length
        )
    return total


@pytest.mark.parametrize(("beta", "sft_weight"), [(0.1, 0.0), (0.5, 0.3)])
def test_dpo_loss_and_gradients_equal_the_papers_formula(pairs, beta, sft_weight):
    model = make_model(2)
    batch = pairs.batch(slice(None))
    loss = objective(beta=beta, sft_weight=sft_weight)(model, batch).total
    loss.backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    expected = plain_dpo(model, make_model(1), beta, sft_weight)
    expected.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    plain = [p.grad for p in model.parameters() if p.grad is not None]
    for ours, theirs in zip(gradients, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_reference_itself_has_no_reward_and_a_loss_of_log_two(pairs):
    loss = objective()(make_model(1), pairs.batch(slice(None)))
    assert loss.total.item() == pytest.approx(len(pairs) * math.log(2), rel=1e-5)
    assert loss.metrics["reward_chosen"].item() == pytest.approx(0, abs=1e-4)
    assert loss.metrics["margin"].item() == pytest.approx(0, abs=1e-4)


def test_metrics_say_what_they_are_called(pairs):
    model, batch = make_model(2), pairs.batch(slice(None))
    metrics = objective(beta=0.5)(model, batch).metrics
    with torch.no_grad():
        policy = log_probs(model, batch.tokens, batch.targets)
    chosen, rejected = (0.5 * (policy - batch.reference)).T
    assert metrics["reward_chosen"].item() == pytest.approx(chosen.sum().item())
    assert metrics["reward_rejected"].item() == pytest.approx(rejected.sum().item())
    assert metrics["accuracy"].item() == (chosen > rejected).sum().item()
    assert metrics["margin"].item() == pytest.approx(
        (chosen - rejected).sum().item(), abs=1e-4
    )


@pytest.mark.parametrize("loss", ["dpo", "ipo", "simpo", "orpo"])
def test_micro_batches_add_up_to_the_whole(pairs, loss):
    model, batch = make_model(2), pairs.batch(slice(None))
    minimised = objective(loss=loss, sft_weight=0.1)
    whole = minimised(model, batch).total
    parts = [minimised(model, piece).total for piece in batch.split(2)]
    torch.testing.assert_close(whole, torch.stack(parts).sum(), rtol=1e-5, atol=1e-5)
    assert batch.weight == len(pairs)


@pytest.mark.parametrize("loss", ["dpo", "ipo", "simpo", "orpo"])
def test_training_raises_the_margin(pairs, loss):
    model = make_model(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    batch = pairs.batch(slice(None))
    minimised = objective(loss=loss)
    losses = []
    for _ in range(8):
        losses.append(minimised(model, batch))
        (losses[-1].total / batch.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1].total < losses[0].total
    assert losses[-1].metrics["margin"] > losses[0].metrics["margin"]


def test_smoothed_labels_weigh_both_outcomes(scores):
    right, _ = dpo(0.3)(scores)
    swapped = Scores(
        scores.policy.flip(1), scores.reference.flip(1), scores.lengths.flip(1)
    )
    wrong, _ = dpo(0.3)(swapped)
    smoothed, _ = dpo(0.3, 0.2)(scores)
    torch.testing.assert_close(smoothed, 0.8 * right + 0.2 * wrong)


def test_kto_equals_its_formula_answer_by_answer():
    reference, model = make_model(1), make_model(2)
    encoded = encode_labelled(PREFERENCES, TOKENIZER, 64)
    examples = with_reference(encoded, reference, batch=3, device=torch.device("cpu"))
    loss = kto(0.2)(model, examples.batch(slice(None)))
    flat = [(p, a) for p in PREFERENCES for a in (p.chosen, p.rejected)]
    with torch.no_grad():
        drifts = [
            plain_log_prob(model, p, other) - plain_log_prob(reference, p, other)
            for (p, _), (_, other) in zip(flat, flat[2:] + flat[:2], strict=True)
        ]
        drift = torch.stack(drifts).mean().clamp(min=0)
        gains = [
            plain_log_prob(model, p, a) - plain_log_prob(reference, p, a) - drift
            for p, a in flat
        ]
    signs = [1 if a == p.chosen else -1 for p, a in flat]
    expected = sum(
        1 - torch.sigmoid(0.2 * g * s) for g, s in zip(gains, signs, strict=True)
    )
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.metrics["kl"].item() == pytest.approx(14 * drift.item(), rel=1e-4)
    good = sum(0.2 * g for g, s in zip(gains, signs, strict=True) if s > 0)
    assert loss.metrics["gain_desirable"].item() == pytest.approx(good.item(), rel=1e-4)


def test_log1mexp_is_exact_and_differentiable_at_both_ends():
    x = torch.tensor([-1e-6, -0.5, -0.7, -2.0, -60.0], requires_grad=True)
    exact = [
        math.log(-math.expm1(v)) if v > -1 else math.log1p(-math.exp(v))
        for v in x.tolist()
    ]
    expected = torch.tensor(exact, dtype=torch.float64)
    torch.testing.assert_close(log1mexp(x).double(), expected, rtol=1e-5, atol=0)
    log1mexp(x).sum().backward()
    slope = 1 / torch.expm1(-x.detach().double())
    torch.testing.assert_close(x.grad.double(), -slope, rtol=1e-5, atol=0)


def same_loss_and_gradient(ours, theirs, scores):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    gradients = [
        torch.autograd.grad(x.sum(), scores.policy, retain_graph=True)[0]
        for x in (ours, theirs)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_simpo_equals_trl(scores):
    cpo = pytest.importorskip("trl.experimental.cpo")
    settings = SimpleNamespace(
        alpha=0.0, beta=2.0, loss_type="simpo", simpo_gamma=0.5, label_smoothing=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )  # fmt: skip
    mean = scores.policy / scores.lengths
    theirs, chosen, rejected = cpo.CPOTrainer.cpo_loss(settings, mean[:, 0], mean[:, 1])
    ours, rewards = simpo(2.0, 0.5)(scores)
    same_loss_and_gradient(ours, theirs, scores)
    torch.testing.assert_close(rewards.detach(), torch.stack([chosen, rejected], 1))


def test_orpo_equals_trl(scores):
    trl = pytest.importorskip("trl.experimental.orpo")
    settings = SimpleNamespace(beta=0.1, accelerator=SimpleNamespace(device="cpu"))
    mean = scores.policy / scores.lengths
    theirs, *_ = trl.ORPOTrainer.odds_ratio_loss(settings, mean[:, 0], mean[:, 1])
    ours, _ = orpo(0.1)(scores)
    same_loss_and_gradient(ours, -mean[:, 0] - theirs, scores)
