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
from hornbook.infer.cpu.exp import exp
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


@numba.njit
def exponentials(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = exp(x[i])
    return out


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


WIDE = {  # heads that fill registers, once and a half, twice, three times and a rest
    "once": {"d_head": 32},
    "once and a half": {"d_head": 48, "qk_norm": False},
    "twice": {"d_head": 64, "windows": (7, 0)},
    "three times and a rest": {"d_head": 104, "n_kv_heads": 1},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", WIDE)
@torch.no_grad()
def test_heads_of_any_width_are_read_over_many_pages(name, dtype):
    config = tiny(**WIDE[name])
    model, tokens = random_model(config).to(dtype), random_tokens(config, 1, 48)[0]
    fast, slow = decoders(model)
    close = (
        {"atol": 2e-5, "rtol": 1e-4}
        if dtype == torch.float32
        else {"atol": 0.1, "rtol": 0.1}
    )
    for length in (1, 15, 16, 17, 33, 48):
        found = []
        for decoder in (fast, slow):
            row, logits = decoder.open([]), None
            for start in range(0, length, 8):
                new = tokens[start : min(start + 8, length)].tolist()
                logits = decoder.extend([row], [new])[0][-1]
            found.append(logits)
            decoder.close(row)
        torch.testing.assert_close(*found, **close)


@torch.no_grad()
def test_a_prompt_read_whole_is_bit_identical_to_one_read_token_by_token():
    config = tiny(d_head=64)
    model, ids = random_model(config), random_tokens(config, 1, 40)[0].tolist()
    fast, _ = decoders(model)
    whole = fast.read(fast.open([]), ids)
    fast, _ = decoders(model)
    row, logits = fast.open([]), None
    for token in ids:
        logits = fast.extend([row], [[token]])[0]
    assert whole is not None
    assert logits is not None
    assert torch.equal(whole, logits)


@torch.no_grad()
def test_what_others_left_in_a_page_is_never_seen():
    config = tiny(d_head=64)
    model, ids = random_model(config), random_tokens(config, 1, 19)[0].tolist()
    fast, _ = decoders(model)
    expected = fast.read(fast.open([]), ids)
    fast, _ = decoders(model)
    for memory in (fast.cache.keys, fast.cache.values):
        memory.fill_(torch.nan)
    found = fast.read(fast.open([]), ids)
    assert expected is not None
    assert found is not None
    assert torch.equal(found, expected)


@pytest.mark.parametrize("outputs", [1, 31, 32, 33, 70])
@pytest.mark.parametrize("sequences", [1, 2, 4, 5, 7, 8, 9, 13, 16])
def test_products_of_any_size_are_exact_and_leave_no_trace_of_what_is_beside(
    outputs, sequences
):
    dice = torch.Generator().manual_seed(outputs)
    weight = torch.randn(1, outputs, 37, generator=dice)
    x = torch.randn(sequences, 37, generator=dice)
    matrix = dense_matrix(weight.numpy())
    out = np.ones((sequences, outputs), np.float32)
    product(matrix, x.numpy(), out, True)
    torch.testing.assert_close(
        torch.from_numpy(out), 1 + x @ weight[0].T, atol=2e-5, rtol=1e-5
    )
    for s in range(sequences):
        alone = np.ones((1, outputs), np.float32)
        product(matrix, x[s : s + 1].numpy(), alone, True)
        assert (alone[0] == out[s]).all()


def test_the_exponential_is_right_to_the_last_bits():
    x = np.concatenate([np.linspace(-87, 88, 20001), [0.0, -1e-8, -500.0]])
    x = x.astype(np.float32)
    expected = np.exp(np.maximum(x, -87).astype(np.float64))
    assert np.abs(exponentials(x) / expected - 1).max() < 3e-7
    assert exponentials(np.zeros(1, np.float32))[0] == 1


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
