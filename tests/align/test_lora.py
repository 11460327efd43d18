import pytest
import torch

from hornbook.align.config import LoRAConfig
from hornbook.align.lora import (
    adapters,
    add_lora,
    load_adapter,
    merged,
    save_adapter,
)
from hornbook.core.errors import UserError
from hornbook.core.files import read_json, write_json
from hornbook.model.config import ModelConfig
from hornbook.model.huggingface import save_model
from hornbook.model.transformer import Transformer
from hornbook.train.config import TrainConfig
from hornbook.train.optim import build_optimizers

TOKENS = torch.randint(0, 96, (2, 12), generator=torch.Generator().manual_seed(1))
BOTH = pytest.mark.parametrize("dora", [False, True])


def make_model(seed=0):
    torch.manual_seed(seed)
    shape = {"n_layers": 2, "d_model": 32, "n_heads": 4, "n_kv_heads": 2}
    model = Transformer(ModelConfig(**shape, context_length=32, vocab_size=96))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def adapted(dora=False, **settings):
    """A model whose adapters already do something."""
    config = LoRAConfig(rank=3, alpha=5, dora=dora, **settings)
    model = make_model()
    add_lora(model, config)
    torch.manual_seed(9)
    for adapter in adapters(model).values():
        torch.nn.init.normal_(adapter.up, std=0.3)
        if adapter.magnitude is not None:
            adapter.magnitude.data *= 1.2
    return model, config


@BOTH
def test_a_fresh_adapter_changes_nothing(dora):
    model = make_model()
    with torch.no_grad():
        before = model(TOKENS)
        add_lora(model, LoRAConfig(rank=4, dora=dora))
        torch.testing.assert_close(model(TOKENS), before, rtol=1e-5, atol=1e-5)


@BOTH
def test_only_the_adapters_are_trained_and_they_are_few(dora):
    model = make_model()
    base = {n: p.clone() for n, p in model.named_parameters()}
    add_lora(model, LoRAConfig(rank=2, dora=dora))
    (optimizer,) = build_optimizers(model, TrainConfig(steps=1, optimizer="adamw"))
    for _ in range(2):
        model(TOKENS).pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) < 0.2 * sum(p.numel() for p in base.values())
    plain = {n.replace(".base.", "."): p for n, p in model.named_parameters()}
    assert all(torch.equal(plain[name], value) for name, value in base.items())
    assert all(a.up.abs().max() > 0 for a in adapters(model).values())


@BOTH
def test_merging_gives_a_plain_model_with_the_same_logits(dora):
    model, _ = adapted(dora)
    plain = merged(model)
    assert not adapters(plain)
    assert adapters(model)
    assert plain.state_dict().keys() == make_model().state_dict().keys()
    with torch.no_grad():
        torch.testing.assert_close(plain(TOKENS), model(TOKENS), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(plain(TOKENS), make_model()(TOKENS), atol=1e-2)


@BOTH
def test_an_adapter_survives_the_disk_bit_for_bit(dora, tmp_path):
    model, config = adapted(dora, targets=("query", "down"))
    save_adapter(model, tmp_path, config)
    again = make_model()
    load_adapter(again, tmp_path)
    with torch.no_grad():
        assert torch.equal(again(TOKENS), model(TOKENS))


def test_what_does_not_fit_is_said_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"'lora.targets' names 'knee'.*query"):
        add_lora(make_model(), LoRAConfig(targets=("knee",)))
    model, config = adapted()
    save_adapter(model, tmp_path, config)
    other = make_model()
    add_lora(other, LoRAConfig(rank=4))
    with pytest.raises(UserError, match="has the shape"):
        load_adapter(other, tmp_path)
    table = read_json(tmp_path / "adapter_config.json")
    write_json(tmp_path / "adapter_config.json", table | {"bias": "all"})
    with pytest.raises(UserError, match="can't represent"):
        load_adapter(make_model(), tmp_path)


@BOTH
def test_peft_opens_our_adapters_and_computes_the_same(dora, tmp_path):
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    model, config = adapted(dora)
    save_model(make_model(), tmp_path / "base")
    save_adapter(model, tmp_path / "adapter", config)
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(
            theirs(TOKENS).logits, model(TOKENS), rtol=1e-4, atol=1e-4
        )
