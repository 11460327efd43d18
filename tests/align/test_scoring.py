"""Only places with a target are looked at, and that changes no number."""

import pytest
import torch

from hornbook.align.scoring import ALIKE, at_targets, log_probs, token_log_probs
from hornbook.data.batch import IGNORE
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer

BANNED = [3, 5]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = ModelConfig(
        n_layers=2,
        d_model=32,
        n_heads=4,
        n_kv_heads=2,
        context_length=64,
        vocab_size=40,
    )
    model = Transformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(scope="module")
def answers():
    """Rows of many lengths, one with a gap between two answers, one without any."""
    torch.manual_seed(1)
    tokens = torch.randint(6, 40, (6, 60))
    targets = torch.full_like(tokens, IGNORE)
    for row, (start, end) in enumerate([(2, 9), (5, 16), (16, 33), (3, 60), (20, 21)]):
        targets[row, start:end] = torch.randint(6, 40, (end - start,))
    targets[3, 10:30] = IGNORE
    return tokens, targets


def plainly(model, tokens, targets, banned):
    """Every row by itself, in float64."""
    logits = model(tokens).double()
    before = logits.log_softmax(-1)
    logits = logits.index_fill(-1, torch.tensor(banned, dtype=torch.long), -1e9)
    after = logits.log_softmax(-1)
    counted = targets != IGNORE
    places = targets.clamp(min=0).unsqueeze(-1)
    entropy = -(after.exp() * after).sum(-1) * counted
    picked = (x.gather(-1, places).squeeze(-1) * counted for x in (after, before))
    return *picked, entropy


@pytest.mark.parametrize("compiling", [False, True])
def test_numbers_and_gradients_are_those_of_whole_rows(
    model, answers, compiling, monkeypatch
):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    ours = token_log_probs(model, *answers, BANNED)
    ours[0].square().sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: False)
    expected = plainly(model, *answers, BANNED)
    expected[0].square().sum().backward()
    for found, wanted in zip(ours, expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=1e-5)
    for found, parameter in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, atol=1e-3, rtol=1e-4)
    model.zero_grad()


def test_sums_keep_the_shape_of_pairs(model, answers):
    tokens, targets = (part.view(3, 2, -1) for part in answers)
    with torch.no_grad():
        sums = log_probs(model, tokens, targets)
        each = plainly(model, *answers, [])[1].sum(-1).view(3, 2)
    torch.testing.assert_close(sums.double(), each, atol=1e-4, rtol=1e-5)
    assert sums[2, 1] == 0  # the row without a target


def test_no_place_without_a_target_is_read_beyond_the_last_one(answers):
    read = []

    class Counting:
        def hidden(self, tokens):
            read.append(tokens.shape)
            return tokens[..., None].float()

    hidden, places = at_targets(Counting(), *answers)
    assert len(places) == int((answers[1] != IGNORE).sum())
    assert sorted(read) == [(1, 2 * ALIKE), (1, 3 * ALIKE), (1, 60), (2, ALIKE)]
    assert torch.equal(hidden[:, 0].long(), answers[0].flatten()[places])


def test_a_batch_without_targets_gives_zeros(model):
    tokens = torch.full((2, 8), 7)
    assert (log_probs(model, tokens, torch.full_like(tokens, IGNORE)) == 0).all()
