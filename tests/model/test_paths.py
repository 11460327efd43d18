"""FlexAttention and FlashAttention give what the usual path gives."""

from importlib.util import find_spec

import pytest
import torch
from shapes import SWITCHES, random_model, random_tokens, tiny

from hornbook.core.errors import UserError
from hornbook.model.attention import attend_plainly
from hornbook.model.mask import masks
from hornbook.model.paths import document_bounds, rules, use_path

SEGMENTS = torch.tensor([[0] * 4 + [1] * 12, [0] * 16])


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("name", SWITCHES)
@torch.no_grad()
def test_flex_attention_equals_the_usual_path(name):
    config = tiny(name)
    model, tokens = random_model(config), random_tokens(config, 2, 16)
    usual = model(tokens), model(tokens, segments=SEGMENTS)
    use_path(model, "flex")
    flex = model(tokens), model(tokens, segments=SEGMENTS)
    torch.testing.assert_close(flex, usual, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_flex_attention_compiled_equals_attention_written_out():
    config = tiny(windows=(20,), n_kv_heads=4)
    segments = torch.tensor([[0] * 50 + [1] * 78, [0] * 128])
    query, key, value = torch.randn(3, 2, 4, 128, 16)
    rule = rules("flex", config, 128, segments, query.device)[20]
    mask = masks(config, 128, segments, None, 128, query.device)[20]
    compiled = torch.compile(rule.attend, dynamic=False)
    flex = compiled(query, key, value, 3.0)
    plain = attend_plainly(query, key, value, mask, 3.0)
    torch.testing.assert_close(flex, plain, atol=1e-5, rtol=1e-4)


def test_flex_attention_says_that_it_does_not_train_on_a_cpu():
    config = tiny()
    model = random_model(config)
    use_path(model, "flex")
    with pytest.raises(UserError, match="doesn't train on a CPU"):
        model(random_tokens(config, 1, 8))


@pytest.mark.skipif(find_spec("flash_attn") is not None, reason="it is installed")
def test_flash_attention_is_refused_where_it_is_not_installed():
    with pytest.raises(UserError, match="flash-attn, which is not installed"):
        use_path(random_model(tiny()), "flash")


@pytest.mark.skipif(
    find_spec("flash_attn") is None or not torch.cuda.is_available(),
    reason="needs flash-attn and a GPU",
)
@pytest.mark.parametrize("name", SWITCHES)
def test_flash_attention_equals_the_usual_path_with_its_gradients(name):
    config = tiny(name, d_head=16)
    model = random_model(config).cuda().bfloat16()
    tokens, results = random_tokens(config, 2, 16).cuda(), []
    for path in ("usual", "flash"):
        use_path(model, path)
        model.zero_grad()
        logits = model(tokens, segments=SEGMENTS.cuda())
        logits.float().logsumexp(-1).sum().backward()
        results.append([logits, *(p.grad.clone() for p in model.parameters())])
    for usual, flash in zip(*results, strict=True):
        torch.testing.assert_close(usual, flash, atol=0.05, rtol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", SWITCHES)
def test_flex_attention_equals_the_usual_path_with_its_gradients(name):
    config = tiny(name, d_head=16)
    model = random_model(config).cuda()
    tokens, results = random_tokens(config, 2, 16).cuda(), []
    for path in ("usual", "flex"):
        use_path(model, path)
        model.zero_grad()
        logits = model(tokens, segments=SEGMENTS.cuda())
        logits.logsumexp(-1).sum().backward()
        results.append([logits, *(p.grad.clone() for p in model.parameters())])
    for usual, flex in zip(*results, strict=True):
        torch.testing.assert_close(usual, flex, atol=1e-2, rtol=1e-2)


def test_document_bounds_start_anew_in_every_row():
    bounds = document_bounds(torch.tensor([[0, 0, 1], [1, 1, 1], [2, 3, 3]]))
    assert bounds.tolist() == [0, 2, 3, 6, 7, 9]
    assert bounds.dtype == torch.int32
