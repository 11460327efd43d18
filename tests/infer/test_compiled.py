"""The compiled step: the model's own logits, and bits that don't depend on the batch."""

import numpy as np
import pytest
import torch
from bytes_tokenizer import BytesTokenizer
from shapes import SWITCHES, random_model, random_tokens, tiny

from hornbook.infer.compiled import CompiledStep
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.infer.kernels import multiply
from hornbook.infer.kvcache import KVCache

FITTING = [name for name in SWITCHES if CompiledStep.fits(random_model(tiny(name)))]


@pytest.mark.parametrize("name", FITTING)
@torch.no_grad()
def test_the_compiled_step_gives_the_models_logits(name):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 3, 12)
    ours, theirs = (KVCache(config, 4, 20) for _ in range(2))
    for cache in (ours, theirs):  # rows of different length: 5, 5 + 1, 5 + 2
        model(tokens[:, :5], cache=cache.window(0, 3, 5))
        model(tokens[1:, 5:6], cache=cache.window(1, 2, 1))
        model(tokens[2:, 6:7], cache=cache.window(2, 1, 1))
    compiled = CompiledStep(model)
    for t in range(7, 12):
        fast = compiled(tokens[:, t].tolist(), ours)
        slow = model(tokens[:, t : t + 1], cache=theirs.window(0, 3, 1))[:, 0]
        torch.testing.assert_close(fast, slow, atol=2e-5, rtol=1e-4)
    assert ours.lengths == theirs.lengths == [10, 11, 12, 0]


@torch.no_grad()
def test_logits_of_a_sequence_are_bit_identical_in_any_batch():
    config = tiny()
    model, tokens = random_model(config), random_tokens(config, 4, 9)
    compiled = CompiledStep(model)
    together, alone = KVCache(config, 4, 20), KVCache(config, 1, 20)
    for t in range(9):
        rows = compiled(tokens[:, t].tolist(), together)
        assert torch.equal(rows[:1], compiled(tokens[:1, t].tolist(), alone))


def test_bfloat16_matrices_are_widened_exactly():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(7, 32, generator=generator).bfloat16()
    x = torch.randn(2, 32, generator=generator)
    out = np.ones((2, 7), np.float32)
    multiply(matrix.view(torch.uint16).numpy(), x.numpy(), out, True)
    expected = 1 + x @ matrix.float().T
    torch.testing.assert_close(torch.from_numpy(out), expected, atol=1e-5, rtol=1e-5)


def test_weights_that_were_trained_on_are_noticed():
    model = random_model(tiny(vocab_size=260))
    engine = Engine(model, BytesTokenizer())
    sampling = SamplingConfig(temperature=0, max_tokens=12)
    before = engine.generate([[1, 2]], sampling)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-0.5)
    after = engine.generate([[1, 2]], sampling)
    assert after == Engine(model, BytesTokenizer()).generate([[1, 2]], sampling)
    assert after == Engine(model, BytesTokenizer(), compiled=False).generate(
        [[1, 2]], sampling
    )
    assert after != before
