import math

import numpy as np
import pytest
import torch

from hornbook.align.held_out import (
    PreferenceScores,
    preference_results,
    preference_scores,
    sft_results,
)
from hornbook.align.messages import Conversation, Preference, assistant, user
from hornbook.align.preference import encode_pairs, log_probs, with_reference
from hornbook.align.sft import pack
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = {"n_layers": 1, "d_model": 32, "n_heads": 2, "n_kv_heads": 1}
    config = ModelConfig(**shape, context_length=64, vocab_size=TOKENIZER.vocab_size)
    return Transformer(config)


def test_sft_loss_is_that_of_the_answers_alone(model):
    answers = ["Yes.", "No, never.", "ä"]
    chats = [Conversation([user("Well?"), assistant(a)]) for a in answers]
    with torch.no_grad():  # every token equally likely
        model.embedding.weight.zero_()
    per_token, per_byte = sft_results(model, pack(chats, TOKENIZER, 64), batch=2)
    tokens, size = (
        sum(len(a.encode()) + 1 for a in answers),
        len("".join(answers).encode()),
    )
    nats = math.log(TOKENIZER.vocab_size)
    assert per_token["value"] == pytest.approx(nats, rel=1e-5)
    assert per_byte["value"] == pytest.approx(
        nats * tokens / size / math.log(2), rel=1e-5
    )
    assert per_token["n"] == 3
    assert per_token["ci95"] == pytest.approx([nats, nats], rel=1e-5)


def test_no_held_out_data_gives_no_results(model):
    assert sft_results(model, pack([], TOKENIZER, 64)) == []
    empty = np.empty((0, 2))
    assert preference_results(PreferenceScores(empty, empty, empty), 0.1) == []


def test_scores_are_the_log_probabilities_the_loss_uses():
    torch.manual_seed(1)
    config = ModelConfig(
        n_layers=1, d_model=32, n_heads=2, n_kv_heads=1, context_length=64,
        vocab_size=TOKENIZER.vocab_size,
    )  # fmt: skip
    policy, reference = Transformer(config), Transformer(config)
    pairs = with_reference(
        encode_pairs(
            [Preference([user(f"{i}?")], f"a{i}", f"b{i}b") for i in range(5)],
            TOKENIZER,
            64,
        ),
        reference,
        batch=2,
        device=torch.device("cpu"),
    )
    scores = preference_scores(policy, pairs, batch=2)
    batch = pairs.batch(slice(None))
    with torch.no_grad():
        expected = log_probs(policy, batch.tokens, batch.targets).numpy()
    np.testing.assert_allclose(scores.policy, expected, rtol=1e-5)
    assert scores.lengths.tolist() == [[3, 4]] * 5


def test_accuracies_stand_beside_their_baselines():
    policy = np.array([[-1.0, -5.0], [-9.0, -2.0], [-1.0, -3.0], [-2.0, -2.0]])
    reference = np.array([[-2.0, -3.0], [-9.5, -1.0], [-4.0, -3.0], [-2.0, -2.0]])
    lengths = np.array([[3, 4], [4, 3], [3, 3], [5, 6]])
    likelier, reward, gain, margin = preference_results(
        PreferenceScores(policy, reference, lengths), beta=0.5
    )
    assert likelier["value"] == pytest.approx(2.5 / 4)
    assert likelier["baselines"] == pytest.approx(
        {"SFT model": 1.5 / 4, "the shorter answer": 2.5 / 4}
    )
    assert reward["value"] == pytest.approx(3.5 / 4)
    assert gain["value"] == pytest.approx(1 / 4)
    expected = 0.5 * np.array([4 - 1, -7 + 8.5, 2 + 1, 0])
    assert margin["value"] == pytest.approx(expected.mean())
    for result in (likelier, reward, gain, margin):
        low, high = result["ci95"]
        assert low <= result["value"] <= high
