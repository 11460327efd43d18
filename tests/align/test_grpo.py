import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hornbook.align.advantages import advantages_of, answer_scale
from hornbook.align.config import GRPOConfig
from hornbook.align.exercises import code_exercises
from hornbook.align.grpo import collapse_alarm, policy_gradient
from hornbook.align.judge import Exercise
from hornbook.align.messages import Conversation, assistant, user
from hornbook.align.rewards import defines
from hornbook.align.rollouts import RolloutBatch, Rollouts, read_round, save_round
from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer
from hornbook.train.config import TrainConfig

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])
END = TOKENIZER.special["<|end|>"]
TRAIN = TrainConfig(steps=1)


def rollouts_of(settings=None, exercises=None, model=None, **more):
    return Rollouts(
        model or make_model(),
        TOKENIZER,
        exercises or EXERCISES,
        settings or config(),
        seed=3,
        **more,
    )


def make_model(seed=0):
    torch.manual_seed(seed)
    shape = {"n_layers": 1, "d_model": 32, "n_heads": 4, "n_kv_heads": 2}
    config = ModelConfig(**shape, context_length=48, vocab_size=TOKENIZER.vocab_size)
    model = Transformer(config)
    for parameter in model.parameters():  # a fresh head is zero: no model would differ
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def ascii_share(answer):
    """A reward that can be learned in seconds: how much of the answer is ASCII."""
    return sum(c < "\x80" for c in answer) / max(len(answer), 1)


EXERCISES = [Exercise([user(f"{i}?")], ascii_share) for i in range(6)]


def config(**settings):
    return GRPOConfig(
        **{"train": TRAIN, "prompts": 2, "group": 4, "max_tokens": 12} | settings
    )


def test_a_step_is_a_function_of_weights_seed_and_step():
    one, again = (rollouts_of() for _ in range(2))
    first, later = one(0), one(1)
    repeated = again(1)
    assert torch.equal(later.tokens, repeated.tokens)
    assert torch.equal(later.advantages, repeated.advantages)
    assert not torch.equal(first.tokens, later.tokens)
    other = rollouts_of(model=make_model(seed=1))(1)
    assert not torch.equal(later.tokens, other.tokens)
    assert first.size == 8
    assert first.weight == 8


def test_the_answers_in_a_group_differ_and_carry_their_own_rewards():
    batch = rollouts_of(config(max_tokens=20))(0)
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
    rollouts = rollouts_of()
    batch, model, banned = rollouts(0), rollouts.policy, rollouts.banned
    loss = policy_gradient(banned, config())(model, batch)
    loss.total.backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    allowed = [i for i in range(model.config.vocab_size) if i not in banned]
    expected = torch.zeros((), dtype=torch.float64)
    n_written = 0
    for row in range(batch.size):
        shares = (
            model(batch.tokens[row : row + 1])[0][:, allowed].double().log_softmax(-1)
        )
        for place, target in enumerate(batch.targets[row].tolist()):
            if target != IGNORE:
                weight = batch.advantages[row] * batch.scale[row]
                expected = expected - weight * shares[place, allowed.index(target)]
                n_written += 1
    expected.backward()
    assert n_written == int(loss.metrics["length"])
    assert loss.metrics["ratio"].item() == pytest.approx(
        batch.size
    )  # no step taken yet
    for ours, parameter in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-3, atol=1e-6)


def test_groups_without_a_difference_teach_nothing():
    exercises = [Exercise([user("?")], lambda answer: 1.0)]
    rollouts = rollouts_of(exercises=exercises)
    batch = rollouts(0)
    loss = policy_gradient(rollouts.banned, config())(rollouts.policy, batch)
    loss.total.backward()
    assert all((p.grad == 0).all() for p in rollouts.policy.parameters())
    assert loss.metrics["zero_variance"].item() == batch.size


@pytest.mark.parametrize(
    ("variant", "updates"),
    [("grpo", 1), ("dapo", 1), ("dr_grpo", 1), ("rloo", 1), ("grpo", 2)],
)
def test_the_reward_rises(variant, updates, tmp_path):
    settings = config(prompts=4, group=8, variant=variant, updates=updates)
    rollouts = rollouts_of(settings, directory=tmp_path)
    model = rollouts.policy
    objective = policy_gradient(rollouts.banned, settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03 / updates)
    rewards = []
    for step in range(20 * updates):
        batch: RolloutBatch = rollouts(step)
        (objective(model, batch).total / batch.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        rewards.append(batch.rewards.mean().item())
    assert np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.2


def test_exercises_too_long_for_the_context_are_refused():
    with pytest.raises(UserError, match="lower 'max_tokens'"):
        rollouts_of(config(max_tokens=45))


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


def test_the_engine_and_training_give_the_same_log_probabilities():
    rollouts = rollouts_of(config(updates=2, kl=0.1))
    batch = rollouts(0)
    written = (batch.targets != IGNORE) & ~batch.sampled.isnan()
    assert written.sum() > 50
    gap = (batch.unbanned - batch.sampled)[written].abs()
    assert gap.max() < 1e-4
    loss = policy_gradient(rollouts.banned, config())(rollouts.policy, rollouts_of()(0))
    assert loss.metrics["sampler_gap"].item() / batch.size < 1e-5


def test_another_samplers_odds_are_corrected_for():
    """Tokens the engine drew twice as often as the policy would count half."""
    rollouts = rollouts_of()
    batch = rollouts(0)
    objective = policy_gradient(rollouts.banned, config())
    right = objective(rollouts.policy, batch).total.item()
    skewed = replace(batch, sampled=batch.sampled + math.log(2))
    found = objective(rollouts.policy, skewed)
    ends = batch.targets == END  # whose odds the engine doesn't tell
    if not ends.any():
        assert found.total.item() == pytest.approx(right / 2, rel=1e-3)
    assert found.metrics["sampler_gap"].item() / batch.size == pytest.approx(
        math.log(2), rel=0.1
    )


def test_a_round_goes_on_from_the_disk_where_it_was_cut_off(tmp_path):
    """The second update takes the answers of the weights before the first one."""
    whole, resumed = (
        rollouts_of(config(updates=2), directory=tmp_path) for _ in range(2)
    )
    first = whole(0)
    for parameter in resumed.policy.parameters():
        parameter.data.add_(0.05)  # a step was taken, and the process killed
    again = resumed(1)
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.old, again.old)
    assert not torch.equal(resumed(2).tokens, whole(2).tokens)
    save_round(first, tmp_path / "x")
    for name, value in vars(read_round(RolloutBatch, tmp_path / "x")).items():
        known = getattr(first, name)
        assert (value is None) == (known is None)
        if value is not None:
            assert torch.equal(value.nan_to_num(), known.nan_to_num()), name


def test_the_alarm_knows_a_collapse(tmp_path):
    diary = tmp_path / "metrics.jsonl"
    settings = config(max_kl=1.0, min_entropy=0.1, min_reward=0.5)
    alarm = collapse_alarm(diary, settings)
    fine = {"kl": 0.1, "entropy": 1.0, "reward": 0.8}
    assert alarm(fine) == ""
    assert "1.5 nats a token from its start" in alarm(fine | {"kl": 1.5})
    assert "entropy has fallen" in alarm(fine | {"entropy": 0.05})
    rewards = [0.8] * 15 + [0.2] * 12
    diary.write_text(
        "".join(f'{{"step":{i},"reward":{r}}}\n' for i, r in enumerate(rewards))
    )
    assert "the reward has fallen to 0.2; it was 0.8" in alarm(fine | {"reward": 0.2})
    diary.write_text("".join(f'{{"step":{i},"reward":0.8}}\n' for i in range(27)))
    assert alarm(fine) == ""
