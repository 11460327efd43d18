import math

import numpy as np
import pytest
import torch

from hornbook.align.baselines import bag_of_words_accuracy, length_accuracy
from hornbook.align.held_out import calibration_error, reward_results
from hornbook.align.messages import Preference, user
from hornbook.align.reward import (
    RewardBatch,
    RewardModel,
    bradley_terry,
    load_reward,
    reward_batches,
    rewards_of,
    save_reward,
)
from hornbook.core.errors import UserError
from hornbook.model.config import ModelConfig
from hornbook.model.huggingface import TokenIds, save_model
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])
GOOD = [Preference([user(f"{i}?")], f"yes {i}", f"no, {i}!") for i in range(9)]


def make_model(seed=0):
    torch.manual_seed(seed)
    shape = {"n_layers": 2, "d_model": 32, "n_heads": 4, "n_kv_heads": 2}
    config = ModelConfig(**shape, context_length=48, vocab_size=TOKENIZER.vocab_size)
    model = RewardModel(Transformer(config))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture
def batches():
    return reward_batches(GOOD, TOKENIZER, 48, batch=4, seed=1)


def test_the_reward_is_read_at_the_closing_mark(batches):
    end = TOKENIZER.special["<|end|>"]
    assert (
        np.take_along_axis(batches.tokens, batches.ends[..., None], -1) == end
    ).all()
    model, batch = make_model(), batches.rows(slice(None))
    tokens, ends = batch.tokens.flatten(0, 1), batch.ends.flatten()
    with torch.no_grad():
        rewards = model(tokens, ends)
        for row in range(len(tokens)):  # one by one, without padding
            alone = model(tokens[row : row + 1, : ends[row] + 1], ends[row : row + 1])
            torch.testing.assert_close(rewards[row], alone[0], rtol=1e-4, atol=1e-5)


def test_loss_and_gradient_equal_bradley_and_terrys():
    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rewards = torch.nn.Parameter(torch.tensor([1.0, -0.5, 0.2, 0.9]))

        def forward(self, tokens, ends):
            return self.rewards

    table = Table()
    batch = RewardBatch(torch.zeros(2, 2, 1).long(), torch.zeros(2, 2).long())
    loss = bradley_terry(centre=0.1)(table, batch)
    loss.total.backward()
    wins = [1 / (1 + math.exp(-(1.0 + 0.5))), 1 / (1 + math.exp(-(0.2 - 0.9)))]
    expected = -sum(map(math.log, wins)) + 0.1 * (0.5**2 + 1.1**2)
    assert loss.total.item() == pytest.approx(expected, rel=1e-6)
    slope = [
        wins[0] - 1 + 0.1,
        1 - wins[0] + 0.1,
        wins[1] - 1 + 0.22,
        1 - wins[1] + 0.22,
    ]
    assert table.rewards.grad.tolist() == pytest.approx(slope, rel=1e-5)
    assert loss.metrics["accuracy"].item() == 1


def test_training_learns_the_preference(batches):
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    before = rewards_of(model, batches)
    for step in range(25):
        bradley_terry(0.01)(model, batches(step)).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = rewards_of(model, batches)
    assert (after[:, 0] > after[:, 1]).all()
    assert np.diff(before).mean() > np.diff(after).mean()


def test_a_reward_model_survives_the_disk(batches, tmp_path):
    model = make_model()
    save_reward(model, tmp_path / "reward", TokenIds(pad_token_id=1))
    again = load_reward(tmp_path / "reward")
    assert np.array_equal(rewards_of(again, batches), rewards_of(model, batches))
    save_model(model.body, tmp_path / "language")
    with pytest.raises(UserError, match="holds no reward model"):
        load_reward(tmp_path / "language")


def test_transformers_opens_it_and_gives_the_same_rewards(batches, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = make_model()
    pad = TOKENIZER.special["<|pad|>"]
    save_reward(model, tmp_path, TokenIds(pad_token_id=pad))
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path, num_labels=1
    ).eval()
    tokens = batches.rows(slice(None)).tokens.flatten(0, 1)
    with torch.no_grad():
        rewards = theirs(tokens, attention_mask=(tokens != pad).long()).logits.view(
            -1, 2
        )
    torch.testing.assert_close(
        rewards, torch.from_numpy(rewards_of(model, batches)), rtol=1e-4, atol=1e-4
    )


def test_baselines_learn_what_can_be_learned_without_understanding():
    assert length_accuracy(GOOD, GOOD) == 1.0  # every good answer is the shorter one
    assert length_accuracy([], GOOD) == 0.0  # knowing nothing, it takes the longer
    assert bag_of_words_accuracy(GOOD[:5], GOOD[5:]) == 1.0
    neutral = [Preference([user("?")], "same words", "words same")]
    assert bag_of_words_accuracy(neutral, neutral) == 0.5
    assert bag_of_words_accuracy([], GOOD) == 0.5


def test_calibration_is_zero_for_an_honest_model_and_large_for_a_boaster():
    sure = math.log(0.75 / 0.25)
    honest = np.array([sure, sure, sure, -sure])
    assert calibration_error(honest) == pytest.approx(0, abs=1e-9)
    assert calibration_error(honest * 20) == pytest.approx(0.25, abs=1e-3)


def test_results_name_the_baselines():
    rewards = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
    accuracy, calibration = reward_results(rewards, {"length": 0.5})
    assert accuracy["value"] == pytest.approx(2.5 / 4)
    assert accuracy["baselines"] == {"length": 0.5}
    assert calibration["value"] >= 0
    assert reward_results(np.empty((0, 2)), {}) == []
