"""Trees of ranked replies, rated completions, margins; what is trained, shown."""

import pytest
import torch
from rich.console import Console
from torch import nn

from hornbook.align.chat_shapes import read_record
from hornbook.align.config import LoRAConfig
from hornbook.align.lora import LoRALinear, adapters, add_lora, merged
from hornbook.align.messages import Conversation, Preference, assistant, user
from hornbook.align.neftune import add_noise
from hornbook.align.rejection import best_of
from hornbook.align.sft import pack
from hornbook.inspecting import TRAINED, painted, visible
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])


def node(role, text, *replies, **more):
    return {"role": role, "text": text, "replies": list(replies), **more}


def test_a_tree_gives_its_best_path_and_the_best_reply_over_the_worst():
    tree = node(
        "prompter", "Hi?",
        node("assistant", "Bad.", rank=2),
        node("assistant", "Gone.", rank=0, deleted=True),
        node("assistant", "Good.", node("prompter", "And?",
             node("assistant", "Ho.", rank=0), node("assistant", "No.", rank=1)), rank=1),
    )  # fmt: skip
    conversation, first, second = read_record({"prompt": tree})
    turns = [user("Hi?"), assistant("Good."), user("And?"), assistant("Ho.")]
    assert conversation == Conversation(turns)
    assert first == Preference([user("Hi?")], "Good.", "Bad.")
    assert second == Preference(turns[:3], "Ho.", "No.")
    with pytest.raises(ValueError, match="no answer by the assistant"):
        read_record({"prompt": node("prompter", "Hi?")})


def test_rated_completions_and_scores_give_a_margin():
    record = {
        "instruction": "Hi?",
        "completions": [
            {"response": "No.", "overall_score": 2},
            {"response": "Ho.", "overall_score": 7.5},
            {"response": "Oh.", "overall_score": 5},
        ],
    }
    conversation, preference = read_record(record)
    assert conversation == Conversation([user("Hi?"), assistant("Ho.")])
    assert preference == Preference([user("Hi?")], "Ho.", "No.", 5.5)
    pair = {"prompt": "Hi?", "chosen": "Ho.", "rejected": "No."}
    scored = pair | {"score_chosen": 8, "score_rejected": 3}
    assert read_record(scored)[1].margin == 5
    assert read_record(pair)[1].margin == 0


def test_a_packed_row_is_shown_with_exactly_its_trained_text_in_green():
    evil = "\x1b[31mred <|end|> [bold]x"
    chats = [
        Conversation([user(evil), assistant("One.")]),
        Conversation([user("Two?"), assistant("2")]),
    ]
    rows = pack(chats, TOKENIZER, 128)
    text = painted(rows, 0, TOKENIZER)
    green = [text.plain[s.start : s.end] for s in text.spans if TRAINED in str(s.style)]
    assert sorted("".join(green).split("<|end|>")) == ["", "2", "One."]
    assert "\x1b" not in text.plain
    assert r"\x1b[31mred <|end|> [bold]x" in text.plain
    grounds = {
        str(s.style).rpartition("on ")[2] for s in text.spans if "on " in str(s.style)
    }
    assert len(grounds) == 2
    console = Console(record=True, width=200)
    console.print(text)
    assert "[bold]x" in console.export_text()
    assert visible("a\tb\x9b\u202e") == "a\\tb\\x9b\\u202e"


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("width", [32, 33])
def test_quantized_bases_are_small_close_and_merge_exactly(bits, width):
    torch.manual_seed(0)
    layer = nn.Linear(width, 24)
    adapted = LoRALinear(layer, LoRAConfig(rank=2, bits=bits))
    nn.init.normal_(adapted.up, std=0.1)
    x = torch.randn(5, width)
    base = adapted.base.weight
    assert (base - layer.weight).abs().max() < layer.weight.abs().max() / (
        2**bits / 2.2
    )
    torch.testing.assert_close(
        adapted(x),
        nn.functional.linear(x, adapted.weight(), layer.bias),
        rtol=1e-4,
        atol=1e-5,
    )
    held = adapted.base.codes.numel() * adapted.base.codes.element_size()
    assert held == 24 * (width if bits == 8 else (width + 1) // 2)
    assert not any(
        p.requires_grad for n, p in adapted.named_parameters() if "weight" in n
    )


def test_a_model_on_a_quantized_base_trains_its_adapters_and_merges():
    config = ModelConfig(
        n_layers=1, d_model=32, n_heads=4, n_kv_heads=2, context_length=16, vocab_size=64
    )  # fmt: skip
    torch.manual_seed(0)
    model = Transformer(config)
    add_lora(model, LoRAConfig(rank=2, bits=4))
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all(n.endswith((".up", ".down")) for n in trained)
    for adapter in adapters(model).values():
        nn.init.normal_(adapter.up, std=0.1)
    tokens = torch.randint(0, 64, (2, 8))
    plain = merged(model)
    assert not adapters(plain)
    torch.testing.assert_close(plain(tokens), model(tokens), rtol=1e-4, atol=1e-5)


def test_noise_has_the_papers_size_and_stays_out_of_evaluation():
    config = ModelConfig(
        n_layers=1, d_model=32, n_heads=4, n_kv_heads=2, context_length=16, vocab_size=64
    )  # fmt: skip
    model = Transformer(config)
    tokens = torch.randint(0, 64, (2, 8))
    plain = model.embedding(tokens)
    add_noise(model, 5.0)
    noise = (model.train().embedding(tokens) - plain).abs()
    assert noise.max() <= 5 / (8 * 32) ** 0.5
    assert noise.max() > 0.9 * 5 / (8 * 32) ** 0.5
    assert torch.equal(model.eval().embedding(tokens), plain)
    with torch.no_grad():
        assert torch.equal(model.train().embedding(tokens), plain)


def test_rejection_keeps_the_best_shortest_and_different():
    texts = ["long good one", "good", "good", "bad", " "]
    assert best_of(texts, [1.0, 1.0, 1.0, 0.2, 1.0], 2, 1.0) == [
        "good",
        "long good one",
    ]
    assert best_of(texts, [1.0, 0.9, 0.9, 0.2, 1.0], 1, 0.5) == ["long good one"]
    assert best_of(texts, [0.0] * 5, 2, 1.0) == []
