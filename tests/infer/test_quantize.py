"""Quantization: small errors, GPTQ smaller ones, and files that are what they say."""

import json

import pytest
import torch
from bytes_tokenizer import BytesTokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import SWITCHES, random_model, tiny

from hornbook.core.errors import UserError
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.infer.quant.calibrate import gptq, input_products
from hornbook.infer.quant.codes import Codes, quantize
from hornbook.infer.quant.files import load_quantized, save_quantized
from hornbook.infer.quant.quantize import (
    cost,
    dequantized,
    layer_errors,
    matrices,
    quantize_model,
)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8, 4]),
    st.sampled_from([32, 64]),
    st.integers(1, 150),
    st.integers(),
)
def test_no_weight_moves_further_than_its_groups_step(bits, group, inputs, seed):
    generator = torch.Generator().manual_seed(seed % 2**31)
    weight = torch.randn(5, inputs, generator=generator) * 10.0 ** (seed % 5 - 2)
    codes = quantize(weight, bits, group)
    assert codes.codes.abs().max() <= (127 if bits == 8 else 8)
    moved = (codes.weight() - weight).abs()
    parts = torch.nn.functional.pad(weight, (0, -inputs % group)).view(5, -1, group)
    largest = parts.abs().amax(2).repeat_interleave(group, dim=1)[:, :inputs]
    share = 0.5 / 127 + 1e-3 if bits == 8 else 0.21  # 4 bits may clip a little
    # A scale below float16's normal numbers is a multiple of 6e-8.
    assert (moved <= largest * share + 128 * 3e-8).all()


def test_zeros_stay_zeros():
    for bits in (8, 4):
        codes = quantize(torch.zeros(3, 64), bits, 32)
        assert torch.equal(codes.weight(), torch.zeros(3, 64))


def test_scales_repeat_for_narrower_groups():
    codes = quantize(torch.randn(3, 100), 8, 64)
    narrow = Codes(codes.codes, codes.scales_by(32), 8, 32)
    assert torch.equal(narrow.weight(), codes.weight())


def test_gptq_loses_less_of_the_output_than_rounding():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(40, 96, generator=generator)
    mixed = torch.randn(96, 96, generator=generator)
    inputs = torch.randn(500, 96, generator=generator) @ mixed  # columns act together
    inputs[:, 7] = 0
    codes = gptq(weight, inputs.T @ inputs, 4, 32)
    exact = inputs @ weight.T

    def lost(some):
        return float((inputs @ some.weight().T - exact).norm() / exact.norm())

    assert lost(codes) < 0.75 * lost(quantize(weight, 4, 32))


def test_input_products_are_those_of_the_layers_inputs():
    model = random_model(tiny())
    tokens = torch.randint(61, (2, 9), generator=torch.Generator().manual_seed(1))
    seen = []
    layer = model.blocks[1].feed_forward.down
    hook = layer.register_forward_pre_hook(lambda _, x: seen.append(x[0].flatten(0, 1)))
    products = input_products(model, [tokens])
    hook.remove()
    found = products["blocks.1.feed_forward.down.weight"]
    torch.testing.assert_close(found, seen[0].T @ seen[0])
    assert set(products) == set(matrices(model)) - {"embedding.weight"}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", SWITCHES)
def test_a_quantized_directory_reads_back_the_same(name, bits, tmp_path):
    model = random_model(tiny(name))
    codes = quantize_model(model, bits, 32)
    save_quantized(model, codes, tmp_path)
    back, back_codes = load_quantized(tmp_path, torch.float32)
    assert set(back_codes) == set(codes)
    for key, some in codes.items():
        assert torch.equal(some.codes, back_codes[key].codes)
        assert torch.equal(some.scales, back_codes[key].scales)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(back(tokens), dequantized(model, codes)(tokens))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_engine_computes_with_the_codes(bits, dtype, tmp_path):
    model = random_model(tiny(vocab_size=270))
    codes = quantize_model(model, bits, 32)
    save_quantized(model, codes, tmp_path)
    small, codes = load_quantized(tmp_path, dtype)
    engine = Engine(small, BytesTokenizer(), codes=codes)
    assert engine.compiled
    sampling = SamplingConfig(temperature=0, max_tokens=10, logprobs=3)
    done = engine.generate([[1, 2, 3]], sampling, frozenset())[0]
    with torch.no_grad():
        twin = dequantized(model, codes)
        logits = twin(torch.tensor([[1, 2, 3, *done.ids[:-1]]]))[0, 2:]
    expected = logits.log_softmax(-1)
    close = 2e-3 if dtype == torch.float32 else 0.1  # the cache is in bfloat16 then
    for token, score, row in zip(done.ids, done.scores, expected, strict=True):
        assert score.logprob == pytest.approx(float(row[token]), abs=close)


def test_the_cost_is_measured():
    model = random_model(tiny())
    generator = torch.Generator().manual_seed(3)
    windows = torch.randint(61, (4, 40), generator=generator).tolist()
    eight = cost(model, quantize_model(model, 8, 32), windows, 100)
    four = cost(model, quantize_model(model, 4, 32), windows, 100)
    assert 0 < eight.largest_difference < four.largest_difference
    assert four.same_argmax < eight.same_argmax <= 1
    nats = -sum(
        float(model(torch.tensor([w[:-1]]))[0].log_softmax(-1)[i, t])
        for w in windows
        for i, t in enumerate(w[1:])
    )
    assert eight.bits_per_byte == pytest.approx(nats / 100 / 0.6931472, rel=1e-5)
    assert abs(eight.table()["change_in_bits_per_byte"]) < 0.05
    errors = layer_errors(model, quantize_model(model, 8, 32))
    assert set(errors) == set(matrices(model))
    assert all(0 < error < 0.01 for error in errors.values())


def test_a_quantized_file_of_another_model_is_refused(tmp_path):
    model = random_model(tiny())
    save_quantized(model, quantize_model(model, 8, 32), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"rope_theta": 5.0}))
    load_quantized(tmp_path)  # this key is the old spelling; the model is the same
    changed = config | {"intermediate_size": 64}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(UserError, match="another model"):
        load_quantized(tmp_path)


def test_a_damaged_quantized_file_is_refused(tmp_path):
    model = random_model(tiny())
    save_quantized(model, quantize_model(model, 4, 32), tmp_path)
    path = tmp_path / "quantized.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="can't be read as safetensors"):
        load_quantized(tmp_path)
    other = tmp_path / "other"
    save_quantized(model, quantize_model(model, 8, 32), other)
    path.write_bytes((other / "quantized.safetensors").read_bytes())
    with pytest.raises(UserError, match="belongs to another model"):
        load_quantized(tmp_path)
