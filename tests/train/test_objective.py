"""The loss in pieces is the loss, its gradient the gradient, and it needs less memory."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from hornbook.data.batch import IGNORE, Batch
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.train.config import TrainConfig
from hornbook.train.memory import recompute_blocks
from hornbook.train.objective import next_token, next_token_objective

CONFIG = TrainConfig(steps=1)
SHAPE = ModelConfig(
    n_layers=2,
    d_model=32,
    n_heads=2,
    n_kv_heads=1,
    context_length=16,
    vocab_size=97,
    logit_cap=15.0,
    init="gpt2",
)


def model(**changes):
    torch.manual_seed(0)
    return Transformer(msgspec.structs.replace(SHAPE, **changes))


def batch():
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(97, (3, 16), generator=generator)
    targets = torch.randint(97, (3, 16), generator=generator)
    targets[0, :5] = IGNORE
    return Batch(tokens, targets)


def gradient(model, objective):
    loss = objective(model, batch())
    loss.total.backward()
    return loss, {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("z_loss", [0.0, 0.01])
@pytest.mark.parametrize("chunk", [1, 7, 48, 1000])
def test_in_chunks_loss_and_gradient_are_the_plain_ones(chunk, z_loss, tied):
    plain = msgspec.structs.replace(CONFIG, z_loss=z_loss)
    pieces = msgspec.structs.replace(plain, logit_chunk=chunk)
    expected, wanted = gradient(model(tied=tied), next_token_objective(plain))
    loss, got = gradient(model(tied=tied), next_token_objective(pieces))
    torch.testing.assert_close(loss.total, expected.total, rtol=1e-6, atol=1e-5)
    for name in wanted:
        torch.testing.assert_close(got[name], wanted[name], rtol=1e-5, atol=1e-5)


def test_z_loss_is_the_squared_logarithm_of_the_denominator():
    config = msgspec.structs.replace(CONFIG, z_loss=0.1)
    loss = next_token_objective(config)(model(), batch())
    plain = next_token(model(), batch())
    logits = model()(batch().tokens).double()
    z = logits.exp().sum(-1).log() ** 2
    z = z[batch().targets != IGNORE].sum()
    assert loss.total.item() == pytest.approx(
        plain.total.item() + 0.1 * z.item(), rel=1e-6
    )
    assert loss.metrics["nats"].item() == pytest.approx(plain.total.item())


def test_blocks_that_forget_their_activations_give_the_same_gradient():
    expected, wanted = gradient(model(), next_token)
    forgetful = model()
    recompute_blocks(forgetful)
    loss, got = gradient(forgetful, next_token)
    assert torch.equal(loss.total, expected.total)
    for name in wanted:
        assert torch.equal(got[name], wanted[name])
    assert forgetful.state_dict().keys() == model().state_dict().keys()


MEASURE = """
import sys, torch
from hornbook.data.batch import Batch
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.train.config import TrainConfig
from hornbook.train.memory import recompute_blocks
from hornbook.train.meter import peak_memory
from hornbook.train.objective import next_token_objective
what, size, layers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
model = Transformer(ModelConfig(n_layers=layers, d_model=64, n_heads=2, n_kv_heads=2,
                                context_length=256, vocab_size=size, tied=True))
chunk = 64 if what == "chunks" else 0
if what == "recompute": recompute_blocks(model)
objective = next_token_objective(TrainConfig(steps=1, logit_chunk=chunk))
tokens = torch.randint(size, (8, 256))
few = tokens[:1, :4]
objective(model, Batch(few, few)).total.backward()  # what is loaded once, is now
before = peak_memory()
objective(model, Batch(tokens, tokens)).total.backward()
print((peak_memory() - before) / 2**20)
"""


def megabytes(what: str, vocab_size: int, layers: int) -> float:
    """The most memory a gradient needs beyond weights and their gradients, measured alone."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, what, str(vocab_size), str(layers)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        # Freed buffers go back to the system at once, so that the peak is what is in use.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    return float(done.stdout)


def test_in_chunks_the_logits_never_stand_in_memory_whole():
    whole = 2048 * 30_000 * 4 / 2**20  # 234 MB: the logits of all tokens, once
    assert megabytes("plain", 30_000, 1) > 2 * whole
    assert megabytes("chunks", 30_000, 1) < 0.3 * whole


def test_blocks_that_forget_need_less_memory():
    assert megabytes("recompute", 100, 12) < 0.5 * megabytes("plain", 100, 12)
