"""The transformer: causal, documents apart, right gradients, compiled like eager."""

import math

import pytest
import torch
from shapes import SWITCHES, random_model, random_tokens, tiny

from hornbook.core.errors import UserError
from hornbook.model import attention, experts, latent
from hornbook.model.attention import attend, attend_by_head, attend_plainly
from hornbook.model.config import ModelConfig
from hornbook.model.experts import grouped_product_plainly
from hornbook.model.transformer import Transformer


def same(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
    """Bit for bit; experts sum in an order that depends on all tokens of the batch."""
    if "expert" in name:
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    else:
        assert torch.equal(a, b)


each_switch = pytest.mark.parametrize("name", SWITCHES)


@each_switch
def test_logits_have_the_shape_of_the_vocabulary(name):
    config = tiny(name)
    logits = random_model(config)(random_tokens(config, 3, 10))
    assert logits.shape == (3, 10, config.vocab_size)
    assert logits.isfinite().all()


@each_switch
@torch.no_grad()
def test_changing_a_token_changes_no_logit_before_it_and_some_at_it(name):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 1, 12)
    before = model(tokens)
    tokens[0, 7] = (tokens[0, 7] + 1) % config.vocab_size
    after = model(tokens)
    same(name, before[:, :7], after[:, :7])
    changed = (before - after).abs().amax(-1)[0]
    assert changed[7] > 1e-4
    # Through layers of windows 5 and 0 it reaches everything after it.
    assert changed[8:].min() > 1e-5


@each_switch
@torch.no_grad()
def test_a_packed_document_does_not_see_the_one_before_it(name):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 1, 20)
    segments = torch.tensor([[0] * 9 + [1] * 11])
    before = model(tokens, segments=segments)
    tokens[0, :9] = random_tokens(config, 1, 9, seed=5)
    after = model(tokens, segments=segments)
    same(name, before[:, 9:], after[:, 9:])
    assert (before[:, :9] - after[:, :9]).abs().amax() > 1e-3
    if config.position in ("learned", "sinusoidal"):
        return  # the document stands elsewhere in its row than it would alone
    alone = model(tokens[:, 9:])
    torch.testing.assert_close(after[:, 9:], alone, atol=2e-5, rtol=1e-4)


@each_switch
@torch.no_grad()
def test_one_segment_is_the_same_as_none(name):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 2, 15)
    packed = model(tokens, segments=torch.full_like(tokens, 3))
    torch.testing.assert_close(packed, model(tokens), atol=1e-5, rtol=1e-5)


@each_switch
@torch.no_grad()
def test_the_fused_kernel_equals_attention_written_out(name, monkeypatch):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 2, 16)
    segments = torch.tensor([[0] * 4 + [1] * 12, [0] * 16])
    fast = model(tokens), model(tokens, segments=segments)
    monkeypatch.setattr(attention, "attend", attend_plainly)
    monkeypatch.setattr(latent, "attend", attend_plainly)
    monkeypatch.setattr(experts, "grouped_product", grouped_product_plainly)
    plain = model(tokens), model(tokens, segments=segments)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)


@each_switch
@torch.no_grad()
def test_heads_one_by_one_equal_all_at_once(name, monkeypatch):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 2, 16)
    segments = torch.tensor([[0] * 4 + [1] * 12, [0] * 16])
    fast = model(tokens), model(tokens, segments=segments)
    monkeypatch.setattr(attention, "attend", attend_by_head)
    monkeypatch.setattr(latent, "attend", attend_by_head)
    by_head = model(tokens), model(tokens, segments=segments)
    torch.testing.assert_close(fast, by_head, atol=1e-5, rtol=1e-4)


def test_attention_by_hand():
    """Two tokens, one head: the second mixes both values by softmax of its scores."""
    query = torch.tensor([[[[1.0, 0.0], [2.0, 0.0]]]])
    key = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    value = torch.tensor([[[[10.0, 0.0], [0.0, 10.0]]]])
    share = 1 / (1 + math.exp(-2 / math.sqrt(2)))
    expected = [[10.0, 0.0], [10 * share, 10 * (1 - share)]]
    for path in (attend, attend_plainly, attend_by_head):
        mixed = path(query, key, value, None)
        torch.testing.assert_close(mixed[0, 0], torch.tensor(expected))


@each_switch
def test_gradients_equal_finite_differences_in_float64(name, monkeypatch):
    config = tiny(name, d_model=16, d_ff=8, d_head=4, vocab_size=7)
    monkeypatch.setattr(experts, "grouped_product", grouped_product_plainly)
    model = random_model(config).double()
    tokens = random_tokens(config, 1, 6)
    weights = list(model.parameters())

    def run(*_):
        return model(tokens)

    assert torch.autograd.gradcheck(run, tuple(weights), fast_mode=True)


def test_every_parameter_gets_a_gradient():
    for name in SWITCHES:
        config = tiny(name)
        model = random_model(config)
        model(random_tokens(config, 2, 8)).logsumexp(-1).sum().backward()
        for parameter_name, parameter in model.named_parameters():
            if "feed_forward.experts" in parameter_name:
                continue  # an expert no token was sent to
            assert parameter.grad is not None, (name, parameter_name)
            assert parameter.grad.abs().sum() > 0, (name, parameter_name)


def test_the_initial_model_predicts_uniformly_and_learns_at_once():
    config = tiny()
    torch.manual_seed(0)
    model = Transformer(config)
    tokens = random_tokens(config, 2, 16)
    logits = model(tokens)
    assert torch.equal(logits, torch.zeros_like(logits))
    model(tokens)[..., 0].sum().backward()
    assert model.head is not None
    assert model.head.weight.grad.abs().sum() > 0


def test_bfloat16_autocast_stays_near_float32():
    config = tiny()
    model, tokens = random_model(config), random_tokens(config, 2, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(tokens)
    assert logits.dtype == torch.bfloat16
    error = (logits.float() - model(tokens)).abs().mean()
    assert error < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "gpt2", "experts", "latent queries"])
def test_compiled_equals_eager_with_its_gradients(name):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 2, 16)
    segments = torch.tensor([[0] * 4 + [1] * 12, [0] * 16])
    compiled = torch.compile(model, fullgraph=True, dynamic=False)
    for given in (None, segments):
        results = []
        for run in (model, compiled):
            model.zero_grad()
            logits = run(tokens, segments=given)
            logits.logsumexp(-1).sum().backward()
            results.append([logits, *(p.grad.clone() for p in model.parameters())])
        for eager, fast in zip(*results, strict=True):
            torch.testing.assert_close(eager, fast, atol=1e-4, rtol=1e-3)


LATENT = {"rank": 8, "d_rope": 4}
SCALING = {"kind": "linear", "factor": 2, "original": 24}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_kv_heads": 3}, "'n_heads' (4) must be a multiple of 'n_kv_heads' (3)"),
        ({"d_model": 30}, "'d_model' (30) must be a multiple of 'n_heads' (4)"),
        ({"d_head": 5}, "'d_head' (5) must be even"),
        ({"latent": LATENT | {"d_rope": 3}, "qk_norm": False}, "'latent.d_rope' (3)"),
        ({"latent": LATENT}, "set 'qk_norm' to false"),
        ({"latent": LATENT, "qk_norm": False, "position": "alibi"}, "'rope' only"),
        ({"position": "alibi", "rope_scaling": SCALING}, "'rope_scaling' needs"),
        ({"experts": {"count": 2, "active": 1}}, "'experts.active' is 1"),
        ({"experts": {"count": 2, "active": 3}}, "'experts.active' (3) is more than"),
        ({"experts": {"count": 2, "active": 2}, "bias": "all"}, "have no biases"),
        ({"vocab_size": 0}, "'vocab_size' is 0"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_by_key(changes, said):
    with pytest.raises(UserError) as caught:
        Transformer(tiny(**changes))
    assert said in str(caught.value)


def test_more_tokens_than_the_context_are_refused():
    config = tiny()
    with pytest.raises(
        UserError, match=r"49 tokens are more than 'context_length' \(48"
    ):
        random_model(config)(random_tokens(config, 1, 49))


def test_defaults_of_the_widths():
    config = ModelConfig(
        n_layers=1, d_model=256, n_heads=4, n_kv_heads=2, context_length=8, vocab_size=9
    )
    model = Transformer(config)
    assert model.blocks[0].attention.d_head == 64
    assert model.blocks[0].feed_forward.up.weight.shape == (704, 256)
