"""The compiled step: the model's own logits, and bits that don't depend on the batch."""

import subprocess
import sys

import numba
import numpy as np
import pytest
import torch
from bytes_tokenizer import BytesTokenizer
from shapes import SWITCHES, random_model, random_tokens, tiny

from hornbook.infer.config import SamplingConfig
from hornbook.infer.cpu.compiled import CompiledStep
from hornbook.infer.cpu.dense import dense_matrix
from hornbook.infer.cpu.integers import bytes_matrix, nibbles_matrix
from hornbook.infer.cpu.matrices import multiply
from hornbook.infer.decoder import Decoder
from hornbook.infer.engine import Engine
from hornbook.infer.kvcache import KVCache
from hornbook.infer.quant.codes import quantize

FITTING = [name for name in SWITCHES if CompiledStep.fits(random_model(tiny(name)))]


@numba.njit
def product(matrix, x, out, add):
    multiply(matrix, 0, x, out, add)


def decoders(model, codes=None):
    """The same model twice: stepping compiled, and stepping through PyTorch."""
    config, dtype = model.config, model.embedding.weight.dtype
    return [
        Decoder(model, KVCache(config, 400, dtype), compiled)
        for compiled in (CompiledStep(model, codes), None)
    ]


@pytest.mark.parametrize("name", FITTING)
@torch.no_grad()
def test_the_compiled_step_gives_the_models_logits(name):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 3, 30)
    fast, slow = decoders(model)
    rows = {}
    for decoder in (fast, slow):  # prompts of different length, one longer than a page
        starts = [tokens[0, :5], tokens[1, :18], tokens[2, :1]]
        rows[decoder] = [decoder.open(ids.tolist()) for ids in starts]
        for row, ids in zip(rows[decoder], starts, strict=True):
            decoder.read(row, ids.tolist())
    for t in range(18, 28):
        new = [[token] for token in tokens[:, t].tolist()]
        for a, b in zip(
            fast.extend(rows[fast], new), slow.extend(rows[slow], new), strict=True
        ):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_several_new_tokens_at_once_are_bit_identical_to_one_by_one():
    config = tiny(windows=(7, 0))
    model, tokens = random_model(config), random_tokens(config, 2, 24).tolist()
    fast, _ = decoders(model)
    rows = [fast.open([]) for _ in tokens]
    one_by_one = [[] for _ in tokens]
    for t in range(24):
        for n, logits in enumerate(fast.extend(rows, [[ids[t]] for ids in tokens])):
            one_by_one[n].append(logits)
    fast, _ = decoders(model)
    row = fast.open([])
    for start, stop in ((0, 3), (3, 4), (4, 12), (12, 17), (17, 24)):
        some = fast.extend([row], [tokens[1][start:stop]])[0]
        assert torch.equal(some, torch.cat(one_by_one[1][start:stop]))


def test_bfloat16_matrices_are_widened_exactly():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(1, 7, 40, generator=generator).bfloat16()
    x = torch.randn(6, 40, generator=generator)
    out = np.ones((6, 7), np.float32)
    product(dense_matrix(values.view(torch.uint16).numpy()), x.numpy(), out, True)
    expected = 1 + x @ values[0].float().T
    torch.testing.assert_close(torch.from_numpy(out), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("inputs", "sequences"), [(768, 1), (300, 5), (33, 2)])
def test_products_of_integers_are_those_of_the_weights_they_stand_for(
    bits, inputs, sequences
):
    generator = torch.Generator().manual_seed(bits)
    weight = torch.randn(11, inputs, generator=generator)
    weight[3] *= 1e-6
    weight[4] = 0
    codes = quantize(weight, bits, 32)
    pack = bytes_matrix if bits == 8 else nibbles_matrix
    matrix = pack(codes.codes[None].numpy(), codes.scales[None].numpy())
    x = torch.randn(sequences, inputs, generator=generator)
    x[0, 32:64] = 0
    out = np.zeros((sequences, 11), np.float32)
    product(matrix, x.numpy(), out, False)
    expected = x.double() @ codes.weight().double().T
    size = expected.square().mean(0).sqrt() + 1e-12
    assert ((torch.from_numpy(out) - expected).abs() / size).max() < 5e-4
    alone = np.zeros((1, 11), np.float32)
    product(matrix, x[-1:].numpy().copy(), alone, False)
    assert (alone[0] == out[-1]).all()  # whatever is beside it


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


def test_numba_leaves_pytorch_its_number_of_threads():
    """Both ask the same OpenMP; Numba's first use would set the count for all."""
    code = (
        "import torch; torch.get_num_threads(); torch.set_num_threads(1); "
        "import hornbook.infer.cpu.compiled; assert torch.get_num_threads() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
