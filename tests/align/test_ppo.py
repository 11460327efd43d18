"""PPO against a plain float64 computation of the papers, and by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hornbook.align.config import PPOConfig
from hornbook.align.judge import Exercise
from hornbook.align.messages import user
from hornbook.align.ppo import (
    ActorCritic,
    PPOBatch,
    PPORounds,
    advantages_and_returns,
    load_value_head,
    next_price,
    ppo_objective,
    save_value_head,
    whitened,
)
from hornbook.align.rollouts import read_round
from hornbook.data.batch import IGNORE
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer
from hornbook.train.config import TrainConfig

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])


def make_model(seed=0):
    torch.manual_seed(seed)
    shape = {"n_layers": 1, "d_model": 32, "n_heads": 4, "n_kv_heads": 2}
    config = ModelConfig(**shape, context_length=48, vocab_size=TOKENIZER.vocab_size)
    model = Transformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def ascii_share(answer):
    return sum(c < "\x80" for c in answer) / max(len(answer), 1)


EXERCISES = [Exercise([user(f"{i}?")], ascii_share) for i in range(6)]


def config(**settings):
    given = {"train": TrainConfig(steps=1), "prompts": 8, "max_tokens": 12} | settings
    return PPOConfig(**given)


def rounds_of(tmp_path, settings=None, seed=3):
    model, start = ActorCritic(make_model()), make_model()
    return PPORounds(
        model, TOKENIZER, EXERCISES, settings or config(), seed,
        reference=start, directory=tmp_path,
    )  # fmt: skip


def plain_advantages(gains, values, reward, discount, trace):
    """The paper's sum, term by term, for one answer without padding (float64)."""
    n = len(gains)
    earned = [*gains[:-1], gains[-1] + reward]
    after = [*values[1:], 0.0]
    surprises = [earned[t] + discount * after[t] - values[t] for t in range(n)]
    return [
        sum((discount * trace) ** (k - t) * surprises[k] for k in range(t, n))
        for t in range(n)
    ]


@pytest.mark.parametrize(("discount", "trace"), [(1.0, 0.95), (0.9, 0.8), (1.0, 1.0)])
def test_generalised_advantages_are_those_of_the_paper(discount, trace):
    rng = np.random.default_rng(0)
    spans = [(2, 7), (0, 1), (3, 10)]
    gains, values = rng.normal(size=(2, 3, 10))
    rewards = rng.normal(size=3)
    written = torch.zeros(3, 10, dtype=torch.bool)
    for row, (start, end) in enumerate(spans):
        written[row, start:end] = True
    found, returns = advantages_and_returns(
        torch.tensor(gains), torch.tensor(values), torch.tensor(rewards).float(),
        written, discount, trace,
    )  # fmt: skip
    for row, (start, end) in enumerate(spans):
        plain = plain_advantages(
            gains[row, start:end], values[row, start:end], rewards[row], discount, trace
        )
        np.testing.assert_allclose(found[row, start:end], plain, atol=1e-6)
        ours = returns[row, start:end]
        np.testing.assert_allclose(ours, plain + values[row, start:end], atol=1e-6)
    assert (found[~written] == 0).all()
    assert (returns[~written] == 0).all()


def test_whitening_looks_at_what_counts_only():
    written = torch.tensor([[True, True, False], [True, False, False]])
    found = whitened(torch.tensor([[1.0, 3.0, 99.0], [2.0, 99.0, 99.0]]), written)
    assert found[written].mean().item() == pytest.approx(0, abs=1e-6)
    assert found[written].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert (found[~written] == 0).all()


def test_a_step_equals_a_plain_float64_step(tmp_path):
    """Values, gradients: both clips bite, the policy and the value have moved on."""
    settings = config(clip=0.1, value_clip=0.05)
    rounds = rounds_of(tmp_path, settings)
    batch = rounds(0)
    torch.manual_seed(1)
    batch = replace(
        batch,
        old=batch.old + 0.2 * torch.randn_like(batch.old),
        values=0.1 * torch.randn_like(batch.values),
    )
    model = rounds.actor
    torch.nn.init.normal_(model.value_head.weight, std=0.1)
    loss = ppo_objective(rounds.banned, settings)(model, batch).total / batch.weight
    loss.backward()
    ours = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model.double()
    allowed = [i for i in range(TOKENIZER.vocab_size) if i not in set(rounds.banned)]
    logits, values = model(batch.tokens)
    hidden_values = values.double()
    total, count = torch.zeros((), dtype=torch.float64), 0
    for row, place in (batch.targets != IGNORE).nonzero().tolist():
        shares = logits[row, place, allowed].double().log_softmax(-1)
        chosen = shares[allowed.index(int(batch.targets[row, place]))]
        ratio = (chosen - batch.old[row, place].double()).exp()
        gain = batch.advantages[row, place].double()
        total = total - torch.min(ratio * gain, ratio.clamp(0.9, 1.1) * gain)
        value, before = hidden_values[row, place], batch.values[row, place].double()
        wanted = batch.returns[row, place].double()
        near = before + (value - before).clamp(-0.05, 0.05)
        worse = torch.max((value - wanted) ** 2, (near - wanted) ** 2)
        total = total + settings.value_weight * 0.5 * worse
        count += 1
    (total / count).backward()
    torch.testing.assert_close(loss.double(), total / count, rtol=1e-5, atol=1e-5)
    for mine, parameter in zip(ours, model.parameters(), strict=True):
        wanted = (
            parameter.grad
            if parameter.grad is not None
            else torch.zeros_like(parameter)
        )
        torch.testing.assert_close(mine.double(), wanted, rtol=1e-4, atol=1e-5)


def test_the_first_step_has_ratio_one_and_no_divergence(tmp_path):
    rounds = rounds_of(tmp_path)
    batch = rounds(0)
    loss = ppo_objective(rounds.banned, config())(rounds.actor, batch)
    assert loss.metrics["ratio"].item() / batch.weight == pytest.approx(1, abs=1e-5)
    assert loss.metrics["clipped"].item() == 0
    assert batch.drift.abs().max() < 1e-4  # the start is the policy itself
    assert (batch.values == 0).all()  # a fresh head promises nothing


def test_a_round_is_cut_into_minibatches_that_take_every_answer_once(tmp_path):
    settings = config(epochs=2, minibatches=2)
    rounds = rounds_of(tmp_path, settings)
    parts = [rounds(step) for step in range(4)]
    assert [part.size for part in parts] == [4, 4, 4, 4]
    for one, other in (parts[:2], parts[2:]):
        together = sorted(map(str, [*one.tokens.tolist(), *other.tokens.tolist()]))
        assert together == sorted(map(str, rounds.write(0).tokens.tolist()))
    assert parts[0].tokens.tolist() != parts[2].tokens.tolist()


def test_the_price_of_divergence_follows_the_rule_and_the_round_before(tmp_path):
    settings = config(kl=0.1, target_kl=2.0, horizon=100)
    assert next_price(0.1, 2.0, 50, settings) == pytest.approx(0.1)
    assert next_price(0.1, 9.0, 50, settings) == pytest.approx(0.1 * 1.1)
    assert next_price(0.1, 0.0, 50, settings) == pytest.approx(0.1 * 0.9)
    assert next_price(0.1, 9.0, 50, config(target_kl=0.0)) == 0.1
    rounds = rounds_of(tmp_path, settings)
    rounds(0)
    known = read_round(PPOBatch, tmp_path / "rollouts-00000000.safetensors")
    drift = float(known.drift.double().mean())
    wanted = next_price(float(known.price[0]), drift, 8, settings)
    assert rounds_of(tmp_path, settings).price(1) == wanted
    assert wanted < 0.1


def test_a_resumed_round_is_read_and_not_written_again(tmp_path):
    first = rounds_of(tmp_path)
    wanted = [first(step) for step in (0, 1)]
    again = rounds_of(tmp_path)
    for parameter in again.actor.parameters():
        parameter.data.add_(0.1)
    assert torch.equal(again(1).tokens, wanted[1].tokens)
    assert torch.equal(again(1).old, wanted[1].old)


def test_the_value_head_is_stored_beside_the_policy(tmp_path):
    one, other = (ActorCritic(make_model()) for _ in range(2))
    torch.nn.init.normal_(one.value_head.weight)
    save_value_head(one, tmp_path)
    load_value_head(other, tmp_path)
    assert torch.equal(one.value_head.weight, other.value_head.weight)


def test_the_reward_rises(tmp_path):
    settings = config(prompts=32, epochs=2, minibatches=1, kl=0.001)
    rounds = rounds_of(tmp_path, settings)
    objective = ppo_objective(rounds.banned, settings)
    optimizer = torch.optim.AdamW(rounds.actor.parameters(), lr=0.02)
    rewards = []
    for step in range(40):
        batch = rounds(step)
        (objective(rounds.actor, batch).total / batch.weight).backward()
        torch.nn.utils.clip_grad_norm_(rounds.actor.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        rewards.append(batch.rewards.mean().item())
    assert np.mean(rewards[-4:]) > np.mean(rewards[:4]) + 0.2
