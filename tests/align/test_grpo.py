import numpy as np
import pytest
import torch

from hornbook.align.config import GRPOConfig
from hornbook.align.exercises import code_exercises, defines
from hornbook.align.grpo import (
    Exercise,
    RolloutBatch,
    Rollouts,
    advantages_of,
    answer_scale,
    policy_gradient,
)
from hornbook.align.messages import Conversation, assistant, user
from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.infer.engine import Engine
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer
from hornbook.train.config import TrainConfig

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])
END = TOKENIZER.special["<|end|>"]
TRAIN = TrainConfig(steps=1)


def make_engine(seed=0):
    torch.manual_seed(seed)
    shape = {"n_layers": 1, "d_model": 32, "n_heads": 4, "n_kv_heads": 2}
    config = ModelConfig(**shape, context_length=48, vocab_size=TOKENIZER.vocab_size)
    model = Transformer(config)
    for parameter in model.parameters():  # a fresh head is zero: no model would differ
        torch.nn.init.normal_(parameter, std=0.1)
    return Engine(model, TOKENIZER, compiled=False)


def ascii_share(answer):
    """A reward that can be learned in seconds: how much of the answer is ASCII."""
    return sum(c < "\x80" for c in answer) / max(len(answer), 1)


EXERCISES = [Exercise([user(f"{i}?")], ascii_share) for i in range(6)]


def config(**settings):
    return GRPOConfig(
        **{"train": TRAIN, "prompts": 2, "group": 4, "max_tokens": 12} | settings
    )


def test_a_step_is_a_function_of_weights_seed_and_step():
    one, again = (
        Rollouts(make_engine(), EXERCISES, config(), seed=3) for _ in range(2)
    )
    first, later = one(0), one(1)
    repeated = again(1)
    assert torch.equal(later.tokens, repeated.tokens)
    assert torch.equal(later.advantages, repeated.advantages)
    assert not torch.equal(first.tokens, later.tokens)
    other = Rollouts(make_engine(seed=1), EXERCISES, config(), seed=3)(1)
    assert not torch.equal(later.tokens, other.tokens)
    assert first.size == 8
    assert first.weight == 8


def test_the_answers_in_a_group_differ_and_carry_their_own_rewards():
    batch = Rollouts(make_engine(), EXERCISES, config(max_tokens=20), seed=3)(0)
    for tokens, targets, reward in zip(
        batch.tokens, batch.targets, batch.rewards, strict=True
    ):
        ids = targets[targets != IGNORE].tolist()
        text = TOKENIZER.decode(ids[:-1] if ids[-1] == END else ids)
        assert reward.item() == pytest.approx(ascii_share(text))
        start = int((targets != IGNORE).float().argmax())
        prompt = TOKENIZER.decode(tokens[: start + 1].tolist())
        assert prompt.startswith("<|user|>")
        assert prompt.endswith("?<|end|><|assistant|>")
    assert len({tuple(row.tolist()) for row in batch.targets[:4]}) == 4


def test_advantages_by_hand():
    rewards = np.array([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]])
    plain = advantages_of(rewards, "dr_grpo")
    assert plain.tolist() == [[0.5, -0.5, -0.5, 0.5], [0, 0, 0, 0]]
    rloo = advantages_of(rewards, "rloo")
    assert rloo[0, 0] == pytest.approx(1 - 1 / 3)
    scaled = advantages_of(rewards, "grpo")
    assert scaled[0, 0] == pytest.approx(0.5 / (np.sqrt(1 / 3) + 1e-4))
    assert (scaled[1] == 0).all()


def test_scales_make_answers_or_tokens_count_alike():
    lengths = torch.tensor([2, 6])
    scale = {
        v: answer_scale(lengths, config(variant=v)).tolist()
        for v in ("grpo", "dapo", "dr_grpo", "rloo")
    }
    assert scale["grpo"] == pytest.approx([1 / 2, 1 / 6])
    assert scale["dapo"] == pytest.approx([1 / 4, 1 / 4])
    assert scale["dr_grpo"] == pytest.approx([1 / 12, 1 / 12])
    assert scale["rloo"] == [1, 1]


def test_the_gradient_is_that_of_the_log_probabilities_the_answers_were_drawn_from():
    engine = make_engine()
    batch = Rollouts(engine, EXERCISES, config(), seed=3)(0)
    model = engine.model
    banned = engine.banned_ids
    loss = policy_gradient(sorted(banned))(model, batch)
    loss.total.backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    allowed = [i for i in range(model.config.vocab_size) if i not in banned]
    expected = torch.zeros((), dtype=torch.float64)
    for row in range(batch.size):
        shares = (
            model(batch.tokens[row : row + 1])[0][:, allowed].double().log_softmax(-1)
        )
        for place, target in enumerate(batch.targets[row].tolist()):
            if target != IGNORE:
                weight = batch.advantages[row] * batch.scale[row]
                expected = expected - weight * shares[place, allowed.index(target)]
    expected.backward()
    torch.testing.assert_close(loss.total.double(), expected, rtol=1e-4, atol=1e-5)
    for ours, parameter in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-3, atol=1e-6)


def test_groups_without_a_difference_teach_nothing():
    exercises = [Exercise([user("?")], lambda answer: 1.0)]
    engine = make_engine()
    batch = Rollouts(engine, exercises, config(), seed=3)(0)
    loss = policy_gradient(sorted(engine.banned_ids))(engine.model, batch)
    loss.total.backward()
    assert all((p.grad == 0).all() for p in engine.model.parameters())
    assert loss.metrics["mixed_groups"].item() == 0


@pytest.mark.parametrize("variant", ["grpo", "dapo", "dr_grpo", "rloo"])
def test_the_reward_rises(variant):
    engine = make_engine()
    rollouts = Rollouts(
        engine, EXERCISES, config(prompts=4, group=8, variant=variant), seed=3
    )
    objective = policy_gradient(sorted(engine.banned_ids))
    optimizer = torch.optim.AdamW(engine.model.parameters(), lr=0.03)
    rewards = []
    for step in range(20):
        batch: RolloutBatch = rollouts(step)
        (objective(engine.model, batch).total / batch.weight).backward()
        torch.nn.utils.clip_grad_norm_(engine.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        rewards.append(batch.rewards.mean().item())
    assert np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.2


def test_exercises_too_long_for_the_context_are_refused():
    with pytest.raises(UserError, match="lower 'max_tokens'"):
        Rollouts(make_engine(), EXERCISES, config(max_tokens=45), seed=1)


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ("def add(a, b):\n    return a + b", 1.0),
        ("async def add(b, a):\n    return a", 1.0),
        ("def add(a):\n    return a", 0.75),
        ("def sum(a, b):\n    return a", 0.5),
        ("def add(a, b):\n    pass", 0.25),
        ('def add(a, b):\n    "Adds."\n    ...', 0.25),
        ("import os\ndef add(a, b):\n    return a", 0.25),
        ("x = 1", 0.25),
        ("def add(a, b:", 0.0),
        ("", 0.0),
        ("(" * 5000, 0.0),
    ],
)
def test_code_is_judged_without_running_it(answer, reward):
    assert defines(answer, "add", "a, b") == reward


def test_exercises_are_the_requests_that_name_a_function():
    conversations = [
        Conversation([user(question), assistant("x")])
        for question in (
            "Write a function `add(a, *b)` that adds.",
            "Define `close(self)`, which closes it.",
            "Write a function that adds.",
            "What does `add` do?",
        )
    ]
    exercises = code_exercises(conversations)
    assert len(exercises) == 2
    assert exercises[0].reward("def add(a, *b):\n    return a") == 1.0
    assert exercises[1].reward("def close(self):\n    self.file.close()") == 1.0
