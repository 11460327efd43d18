"""The first weights have the scales that their scheme promises."""

import msgspec
import pytest
import torch
from shapes import random_tokens, tiny

from hornbook.model.config import ModelConfig
from hornbook.model.presets import preset
from hornbook.model.transformer import Transformer


def fresh(config: ModelConfig) -> Transformer:
    torch.manual_seed(0)
    return Transformer(config)


def std(model: Transformer, name: str) -> float:
    return model.get_parameter(name).std().item()


def test_gpt2s_weights_are_small_and_smaller_where_the_stream_is_written():
    model = fresh(preset("gpt2-124m", n_layers=8, vocab_size=2000))
    assert std(model, "embedding.weight") == pytest.approx(0.02, rel=0.02)
    assert std(model, "blocks.3.attention.query.weight") == pytest.approx(
        0.02, rel=0.02
    )
    for name in ("attention.output", "feed_forward.down"):
        expected = 0.02 / (2 * 8) ** 0.5
        assert std(model, f"blocks.3.{name}.weight") == pytest.approx(
            expected, rel=0.02
        )


@pytest.mark.parametrize("name", ["default", "experts", "latent", "speedrun"])
def test_zero_projections_make_every_block_the_identity(name):
    config = tiny(name, norm_place="pre", logit_cap=0.0)
    model = fresh(config)
    tokens = random_tokens(config, 2, 8)
    stream = model.embedding(tokens)
    torch.testing.assert_close(model.hidden(tokens), model.norm(stream))
    head = model.head
    assert head is not None
    assert not head.weight.any()


def test_mup_keeps_the_scale_of_what_flows_as_the_model_grows():
    """Hidden values keep theirs, logits shrink by 1/sqrt(width) (arXiv 2203.03466)."""
    scales = {}
    for width in (64, 256):
        config = tiny(d_model=width, n_heads=4, d_ff=2 * width, init="mup", n_layers=1)
        model = fresh(config)
        tokens = random_tokens(config, 4, 40)
        hidden, logits = model.hidden(tokens), model(tokens)
        x = model.blocks[0].attention_norm(model.embedding(tokens))
        inside = model.blocks[0].feed_forward.up(x).std().item()
        scales[width] = (hidden.std().item(), inside, logits.std().item())
    narrow, wide = scales[64], scales[256]
    assert wide[0] == pytest.approx(narrow[0], rel=0.1)
    assert wide[1] == pytest.approx(narrow[1], rel=0.1)
    assert wide[2] == pytest.approx(narrow[2] / 2, rel=0.2)


@pytest.mark.parametrize("init", ["zero", "gpt2", "mup"])
def test_every_initial_model_predicts_nearly_uniformly(init):
    config = tiny(d_model=128, init=init)
    tokens = random_tokens(config, 2, 32)
    logits = fresh(config)(tokens)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
    uniform = torch.log(torch.tensor(config.vocab_size)).item()
    assert loss.item() == pytest.approx(uniform, abs=0.1)


def test_the_seed_decides_the_weights():
    config = msgspec.structs.replace(tiny(), init="gpt2")
    first, again = fresh(config), fresh(config)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    torch.manual_seed(1)
    other = Transformer(config)
    assert not torch.equal(first.embedding.weight, other.embedding.weight)
