"""The sum of nats that training and evaluation share."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hornbook.data.batch import IGNORE, Batch
from hornbook.infer import scoring
from hornbook.infer.scoring import held_out_nats


class Bigram(nn.Module):
    """Logits of the next token from the one before it, with dropout while training."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.table = nn.Embedding(11, 11)
        self.dropout = nn.Dropout(0.9)

    def forward(self, tokens, segments=None):
        self.segments = segments
        return self.dropout(self.table(tokens))


def batches(n=3):
    torch.manual_seed(4)
    made = []
    for _ in range(n):
        tokens = torch.randint(0, 11, (4, 6))
        targets = torch.randint(0, 11, (4, 6))
        targets[0, :3] = IGNORE
        made.append(Batch(tokens, targets))
    return made


def test_the_sum_is_that_of_cross_entropy_over_all_targets():
    model = Bigram().eval()
    tokens = torch.cat([b.tokens for b in batches()])
    targets = torch.cat([b.targets for b in batches()])
    expected = F.cross_entropy(
        model(tokens).flatten(0, 1), targets.flatten(), reduction="sum"
    )
    nats, count = held_out_nats(model, batches())
    assert nats == pytest.approx(expected.item(), rel=1e-6)
    assert count == 3 * (24 - 3)


def test_the_model_is_measured_in_evaluation_mode_and_left_as_it_was():
    model = Bigram().train()
    first, second = held_out_nats(model, batches()), held_out_nats(model, batches())
    assert first == second
    assert model.training


def test_segments_reach_the_model():
    model = Bigram()
    batch = batches(1)[0]
    held_out_nats(model, [batch])
    assert model.segments is None
    segments = torch.zeros_like(batch.tokens)
    held_out_nats(model, [Batch(batch.tokens, batch.targets, segments)])
    assert torch.equal(model.segments, segments)


def test_bfloat16_costs_about_the_same():
    model = nn.Sequential(nn.Embedding(11, 32), nn.Linear(32, 11))
    exact, _ = held_out_nats(model, batches())
    rough, _ = held_out_nats(model, batches(), dtype=torch.bfloat16)
    assert rough == pytest.approx(exact, rel=0.01)
    assert rough != exact


def test_ignored_targets_are_the_batches_own():
    assert scoring.IGNORE == IGNORE
