"""The kernels that training on a CPU uses, beside the operations they stand for."""

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from hornbook.model.cpu import fused
from hornbook.model.feedforward import square_relu
from hornbook.model.norm import RMSNorm
from hornbook.model.presets import preset
from hornbook.model.rope import rotate
from hornbook.model.transformer import Transformer

DTYPES = [torch.float32, torch.bfloat16]
CLOSE = {torch.float32: 1e-6, torch.bfloat16: 2**-7}


def normed(x: Tensor, weight: Tensor) -> Tensor:
    norm = RMSNorm(x.shape[-1], 1e-6)
    norm.weight = torch.nn.Parameter(weight.detach())
    out = norm(x)
    if torch.is_grad_enabled():
        norm.weight.register_hook(lambda g: setattr(weight, "grad", g))
    return out


def turned(x: Tensor) -> Tensor:
    angles = torch.linspace(0, 7, x.shape[1] * x.shape[3] // 2).view(x.shape[1], -1)
    return rotate(x.transpose(1, 2), (angles.cos(), angles.sin()))


def turned_by_row(x: Tensor) -> Tensor:
    shape = (len(x), 1, x.shape[1], x.shape[3] // 2)
    angles = torch.linspace(0, 7, int(np.prod(shape))).view(shape)
    return rotate(x.transpose(1, 2), (angles.cos(), angles.sin()))


def gated(gate: Tensor, up: Tensor) -> Tensor:
    if fused.fits(gate, up):
        return fused.swish_gate(gate, up)
    return torch.nn.functional.silu(gate) * up


CASES = {
    "norm": (normed, [(3, 37, 24)], True),
    "turns": (turned, [(3, 7, 2, 16)], False),
    "turns, a table per row": (turned_by_row, [(3, 7, 2, 16)], False),
    "relu2": (square_relu, [(3, 5, 33)], False),
    "gate": (gated, [(3, 5, 33), (3, 5, 33)], False),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_a_kernel_and_its_gradient_equal_the_plain_operations(case, dtype, monkeypatch):
    function, shapes, weighted = CASES[case]
    draw = torch.Generator().manual_seed(1)
    inputs = [4 * torch.randn(shape, generator=draw).to(dtype) for shape in shapes]
    inputs += [torch.rand(shapes[0][-1], generator=draw)] if weighted else []

    def run() -> list[Tensor]:
        given = [x.clone().requires_grad_() for x in inputs]
        out = function(*given)
        gradient = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
        out.backward(gradient.to(out.dtype))
        return [out, *(x.grad for x in given if x.grad is not None)]

    assert fused.fits(inputs[0])
    with_kernels = run()
    monkeypatch.setattr(fused, "fits", lambda *tensors: False)
    plainly = run()
    assert len(with_kernels) == len(plainly) == 1 + len(inputs)
    for mine, theirs in zip(with_kernels, plainly, strict=True):
        assert mine.dtype == theirs.dtype
        scale = theirs.float().abs().max()
        torch.testing.assert_close(
            mine.float() / scale, theirs.float() / scale, rtol=0, atol=CLOSE[mine.dtype]
        )


@pytest.mark.parametrize("shape", ["llama-10m", "speedrun"])
def test_a_model_learns_the_same_with_and_without_kernels(shape, monkeypatch):
    config = msgspec.structs.replace(
        preset(shape), n_layers=2, vocab_size=64, context_length=32
    )
    tokens = torch.randint(64, (2, 32), generator=torch.Generator().manual_seed(3))

    def gradients() -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = Transformer(config)
        for parameter in model.parameters():  # some begin as zeros
            torch.nn.init.normal_(parameter, std=0.1)
        model(tokens).float().logsumexp(-1).sum().backward()
        return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    mine = gradients()
    monkeypatch.setattr(fused, "fits", lambda *tensors: False)
    for name, theirs in gradients().items():
        torch.testing.assert_close(mine[name], theirs, rtol=1e-3, atol=1e-4)


def test_kernels_give_the_same_bits_on_one_thread_and_on_all():
    x = torch.randn(100, 48, requires_grad=True)
    weight = torch.rand(48, requires_grad=True)
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, threads):
            torch.set_num_threads(n)
            x.grad = weight.grad = None
            out = fused.rms_norm(x, weight, 1e-6)
            out.backward(torch.arange(100.0)[:, None].expand(100, 48))
            found.append((out, x.grad, weight.grad))
    finally:
        torch.set_num_threads(threads)
    for one, all_ in zip(*found, strict=True):
        assert torch.equal(one, all_)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_seen(bad):
    x = torch.ones(4, 8)
    x[1, 3] = bad
    for out in (
        fused.rms_norm(x, torch.ones(8), 1e-6),
        fused.square_relu(x),
        fused.swish_gate(x, torch.ones(4, 8)),
        fused.swish_gate(x.bfloat16(), torch.ones(4, 8).bfloat16()),
    ):
        assert not out.isfinite().all()
        assert out[0].isfinite().all()


def test_the_engines_and_the_compiler_keep_to_their_own_ways():
    x = torch.ones(2, 4)
    assert fused.fits(x)
    with torch.no_grad():
        assert not fused.fits(x)
    assert not fused.fits(x.double())
    assert not fused.fits(x.to("meta"))
    assert not fused.fits(x, torch.empty(0))
