import math

import numpy as np
import pytest
import torch

from hornbook.align.messages import Preference, user
from hornbook.align.preference import (
    PreferenceBatches,
    dpo,
    encode_pairs,
    load_pairs,
    log_probs,
    save_pairs,
    with_reference,
)
from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])
CPU = torch.device("cpu")


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


PREFERENCES = [
    Preference([user(f"Number {i}?")], f"{'good ' * (i % 3)}{i}", f"bad{'!' * i}")
    for i in range(7)
]


@pytest.fixture(scope="module")
def pairs():
    encoded = encode_pairs(PREFERENCES, TOKENIZER, 64)
    return with_reference(encoded, make_model(1), batch=3, device=CPU)


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
        policy = [plain_log_prob(model, pair, a) for a in (pair.chosen, pair.rejected)]
        with torch.no_grad():
            frozen = [
                plain_log_prob(reference, pair, a) for a in (pair.chosen, pair.rejected)
            ]
        margin = beta * ((policy[0] - frozen[0]) - (policy[1] - frozen[1]))
        length = len(TOKENIZER.encode(pair.chosen)) + 1
        total = (
            total + torch.log1p(torch.exp(-margin)) - sft_weight * policy[0] / length
        )
    return total


@pytest.mark.parametrize(("beta", "sft_weight"), [(0.1, 0.0), (0.5, 0.3)])
def test_loss_and_gradients_equal_the_papers_formula(pairs, beta, sft_weight):
    model = make_model(2)
    loss = dpo(beta, sft_weight)(model, pairs.batch(slice(None))).total
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
    loss = dpo(0.1)(make_model(1), pairs.batch(slice(None)))
    assert loss.total.item() == pytest.approx(len(pairs) * math.log(2), rel=1e-5)
    assert loss.metrics["reward_chosen"].item() == pytest.approx(0, abs=1e-4)
    assert loss.metrics["margin"].item() == pytest.approx(0, abs=1e-4)


def test_metrics_say_what_they_are_called(pairs):
    model = make_model(2)
    batch = pairs.batch(slice(None))
    metrics = dpo(0.5)(model, batch).metrics
    with torch.no_grad():
        policy = log_probs(model, batch.tokens, batch.targets)
    rewards = 0.5 * (policy - batch.reference)
    assert metrics["reward_chosen"].item() == pytest.approx(rewards[:, 0].sum().item())
    assert metrics["reward_rejected"].item() == pytest.approx(
        rewards[:, 1].sum().item()
    )
    assert metrics["accuracy"].item() == (rewards[:, 0] > rewards[:, 1]).sum().item()
    assert metrics["margin"].item() == pytest.approx(
        (rewards[:, 0] - rewards[:, 1]).sum().item(), abs=1e-4
    )


def test_micro_batches_add_up_to_the_whole(pairs):
    model = make_model(2)
    batch = pairs.batch(slice(None))
    whole = dpo(0.2, 0.1)(model, batch).total
    parts = [dpo(0.2, 0.1)(model, piece).total for piece in batch.split(2)]
    torch.testing.assert_close(whole, torch.stack(parts).sum(), rtol=1e-5, atol=1e-5)
    assert batch.weight == len(pairs)


def test_padding_never_changes_a_log_probability(pairs):
    model = make_model(2)
    batch = pairs.batch(slice(None))
    other = batch.tokens.clone()
    answered = batch.targets != IGNORE
    last = batch.tokens.shape[-1] - answered.flip(-1).int().argmax(-1)
    for pair in range(len(pairs)):
        for side in (0, 1):
            other[pair, side, last[pair, side] :] = 65
    assert not torch.equal(other, batch.tokens)
    with torch.no_grad():
        before = log_probs(model, batch.tokens, batch.targets)
        after = log_probs(model, other, batch.targets)
    assert torch.equal(before, after)


def test_only_the_answer_and_its_end_are_scored(pairs):
    for row, preference in enumerate(PREFERENCES):
        for side, answer in enumerate((preference.chosen, preference.rejected)):
            own = pairs.targets[row, side]
            ids = own[own != IGNORE].tolist()
            assert TOKENIZER.decode(ids) == f"{answer}<|end|>"
    assert pairs.tokens.shape[-1] % 16 == 0


def test_pairs_survive_the_disk_bit_for_bit(pairs, tmp_path):
    save_pairs(pairs, tmp_path / "pairs.safetensors")
    again = load_pairs(tmp_path / "pairs.safetensors")
    assert np.array_equal(again.tokens, pairs.tokens)
    assert np.array_equal(again.targets, pairs.targets)
    assert again.reference.tobytes() == pairs.reference.tobytes()
    with pytest.raises(UserError, match="does not exist"):
        load_pairs(tmp_path / "none.safetensors")


def test_batches_are_a_pure_function_of_the_step(pairs):
    batches = PreferenceBatches(pairs, 3, seed=5)
    assert torch.equal(
        batches(11).tokens, PreferenceBatches(pairs, 3, seed=5)(11).tokens
    )
    assert batches(0).tokens.shape == (3, 2, pairs.tokens.shape[-1])
    assert not torch.equal(batches(0).tokens, batches(1).tokens)


def test_pairs_that_are_too_long_are_counted():
    long = Preference([user("x" * 80)], "a", "b")
    encoded = encode_pairs([*PREFERENCES, long], TOKENIZER, 64)
    assert (len(encoded), encoded.too_long) == (len(PREFERENCES), 1)
    with pytest.raises(UserError, match="1 were longer"):
        PreferenceBatches(encode_pairs([long], TOKENIZER, 64), 2, seed=1)


def test_training_raises_the_margin_and_leaves_the_reference_alone(pairs):
    model = make_model(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    batch = pairs.batch(slice(None))
    losses = []
    for _ in range(8):
        loss = dpo(0.1)(model, batch)
        (loss.total / batch.weight).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss)
    assert losses[-1].total < losses[0].total
    assert losses[-1].metrics["margin"] > losses[0].metrics["margin"] + 1e-3
    assert losses[-1].metrics["accuracy"] > losses[0].metrics["accuracy"]
