"""Distillation: the loss by hand, and a teacher on the disk."""

import pytest
import torch

from hornbook.align.distil import distillation, divergence, load_teacher
from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE, Batch
from hornbook.model.config import ModelConfig
from hornbook.model.huggingface import TokenIds, save_model
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])
SIZE = TOKENIZER.vocab_size


def make_model(seed, d_model=32, vocab_size=SIZE):
    torch.manual_seed(seed)
    shape = {"n_layers": 1, "d_model": d_model, "n_heads": 4, "n_kv_heads": 2}
    model = Transformer(
        ModelConfig(**shape, context_length=16, vocab_size=vocab_size)
    ).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def make_batch():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, SIZE, (2, 8), generator=generator)
    targets = torch.randint(0, SIZE, (2, 8), generator=generator)
    targets[:, ::2] = IGNORE
    return Batch(tokens, targets)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_divergence_is_that_of_the_whole_distributions(temperature):
    ours, theirs = torch.randn(2, 5, 7).unbind(0)
    student, teacher = (
        torch.distributions.Categorical(logits=x.double() / temperature)
        for x in (ours, theirs)
    )
    wanted = torch.distributions.kl_divergence(teacher, student).sum() * temperature**2
    found = divergence(ours, theirs, temperature).double()
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_only_targets_count_and_the_weights_share_the_loss():
    student, teacher, batch = make_model(1), make_model(2, d_model=48), make_batch()
    alone = distillation(teacher, 0.0, 1.0)(student, batch)
    assert alone.total.item() == pytest.approx(alone.metrics["nats"].item())
    both = distillation(teacher, 0.3, 1.0)(student, batch)
    wanted = 0.7 * both.metrics["nats"] + 0.3 * both.metrics["divergence"]
    assert both.total.item() == pytest.approx(wanted.item(), rel=1e-5)
    itself = distillation(student, 1.0, 2.0)(student, batch)
    assert itself.total.item() == pytest.approx(0, abs=1e-4)


def test_a_student_comes_closer_to_its_teacher():
    student, teacher, batch = make_model(1), make_model(2), make_batch()
    objective = distillation(teacher, 1.0, 1.0)
    optimizer = torch.optim.AdamW(student.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = objective(student, batch)
        losses.append(loss.total.item())
        loss.total.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.3 * losses[0]


def test_a_teacher_with_other_tokens_is_refused(tmp_path):
    ids = TokenIds(TOKENIZER.special["<|endoftext|>"], [], 0)
    save_model(make_model(2), tmp_path / "same", ids)
    TOKENIZER.save(tmp_path / "same")
    assert load_teacher(tmp_path / "same", TOKENIZER, SIZE).config.d_model == 32
    with pytest.raises(UserError, match="splits text in another way"):
        load_teacher(tmp_path / "same", TOKENIZER, SIZE + 1)
    with pytest.raises(UserError, match="is no folder"):
        load_teacher(tmp_path / "none", TOKENIZER, SIZE)
