"""Exports: re-loaded in their own runtimes, they compute what the model computes."""

import importlib.util

import numpy as np
import pytest
import torch
from shapes import SWITCHES, random_model, tiny

from hornbook.core.errors import UserError
from hornbook.infer.export.gguf import neighbours, write_gguf
from hornbook.infer.export.onnx import write_onnx
from hornbook.infer.export.verify import Verdict, read_gguf, verify
from hornbook.tokenizer.chat import render_chat
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

TEXTS = [
    "The cat sat on the mat, didn't it? ",
    "12345 678 ünïcode 🙂 and\n\n more\n",
] * 9
LLAMA = {"qk_norm": False, "d_model": 64, "d_ff": 96, "n_heads": 4}
WIDE = {"d_model": 64, "d_ff": 96, "n_heads": 4}
FAMILIES = {
    "llama": LLAMA,
    "llama, tied": LLAMA | {"tied": True},
    "llama 3": LLAMA
    | {"rope_scaling": {"kind": "llama3", "factor": 4, "original": 12}},
    "linear": LLAMA | {"rope_scaling": {"kind": "linear", "factor": 4, "original": 12}},
    "qwen3": WIDE,
    "qwen3, wide heads": WIDE | {"d_head": 32},
    "qwen2": WIDE | {"qk_norm": False, "bias": "qkv"},
}
LIMIT = {"f32": 2e-3, "f16": 2e-2, "bf16": 0.2, "q8_0": 0.2, "q4_0": 4.0}
NEEDS_GGUF = pytest.mark.skipif(
    not importlib.util.find_spec("gguf"), reason="the package gguf isn't installed"
)
NEEDS_LLAMA = pytest.mark.skipif(
    not importlib.util.find_spec("llama_cpp"), reason="llama-cpp-python isn't installed"
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TokenizerConfig(vocab_size=300, pattern="gpt4"), TEXTS)


def model_of(changes, tokenizer):
    return random_model(tiny(**(changes | {"vocab_size": tokenizer.vocab_size})))


def sequences(vocab_size):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(vocab_size, (3, 20), generator=generator).tolist()


@NEEDS_GGUF
@pytest.mark.parametrize("kind", LIMIT)
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_every_type_reads_back(kind, family, tokenizer, tmp_path):
    model = model_of(FAMILIES[family], tokenizer)
    write_gguf(model, tokenizer, tmp_path / "m.gguf", kind, "test")
    back = read_gguf(tmp_path / "m.gguf", model)
    for (name, ours), theirs in zip(
        model.named_parameters(), back.parameters(), strict=True
    ):
        step = {"f32": 0, "f16": 2**-11, "bf16": 2**-8, "q8_0": 2**-7, "q4_0": 2**-3}
        most = ours.abs().max() * step[kind] * (1 if ours.ndim > 1 else 0)
        assert (ours - theirs).abs().max() <= most + 1e-7, name
    assert not (tmp_path / "m.gguf.partial").exists()


@NEEDS_GGUF
@NEEDS_LLAMA
@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_computes_the_same(family, tokenizer, tmp_path):
    model = model_of(FAMILIES[family], tokenizer)
    write_gguf(model, tokenizer, tmp_path / "m.gguf", "f32", "test")
    verdict = verify(model, tmp_path / "m.gguf", sequences(tokenizer.vocab_size))
    assert verdict.runtime == "llama.cpp"
    assert verdict.largest_difference < LIMIT["f32"]
    assert verdict.same_argmax == 1


@NEEDS_GGUF
@NEEDS_LLAMA
@pytest.mark.parametrize("pattern", ["gpt2", "gpt4", "llama3", "o200k"])
def test_llama_cpp_gives_the_same_ids_and_chat(pattern, tmp_path):
    from llama_cpp import Llama

    ours = train_tokenizer(TokenizerConfig(vocab_size=300, pattern=pattern), TEXTS)
    model = model_of(LLAMA, ours)
    write_gguf(model, ours, tmp_path / "m.gguf", "f32", "test")
    theirs = Llama(str(tmp_path / "m.gguf"), vocab_only=True, verbose=False)
    for text in TEXTS[:2]:
        ids = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert ids == ours.encode(text)
        assert theirs.detokenize(ids).decode() == text
    chat = [{"role": "user", "content": "What is it?"}]
    rendered = render_chat(ours, chat, add_generation_prompt=True).ids.tolist()
    text = "<|user|>What is it?<|end|><|assistant|>"
    assert theirs.tokenize(text.encode(), add_bos=False, special=True) == rendered
    assert theirs.token_eos() == ours.special["<|endoftext|>"]
    assert "generation" not in theirs.metadata["tokenizer.chat_template"].replace(
        "add_generation_prompt", ""
    )


def test_rows_change_places_in_pairs_and_back():
    rows = np.arange(12)
    assert neighbours(rows, 2).tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


@NEEDS_GGUF
@pytest.mark.parametrize("name", ["gpt2", "windows", "experts", "post-norm"])
def test_what_gguf_cannot_hold_is_refused(name, tokenizer, tmp_path):
    model = random_model(tiny(name, vocab_size=tokenizer.vocab_size))
    with pytest.raises(UserError, match="GGUF can hold"):
        write_gguf(model, tokenizer, tmp_path / "m.gguf", "f32", "test")
    assert list(tmp_path.iterdir()) == []


@NEEDS_GGUF
def test_other_refusals(tokenizer, tmp_path):
    model = model_of(LLAMA, tokenizer)
    with pytest.raises(UserError, match="no GGUF type 'q5'"):
        write_gguf(model, tokenizer, tmp_path / "m.gguf", "q5", "test")
    words = train_tokenizer(TokenizerConfig(kind="word"), TEXTS)
    with pytest.raises(UserError, match="kind 'word'"):
        write_gguf(model, words, tmp_path / "m.gguf", "f32", "test")
    own = train_tokenizer(TokenizerConfig(vocab_size=300, pattern=r"\S+|\s+"), TEXTS)
    with pytest.raises(UserError, match="own split pattern"):
        write_gguf(model, own, tmp_path / "m.gguf", "f32", "test")
    yarn = LLAMA | {"rope_scaling": {"kind": "yarn", "factor": 4, "original": 12}}
    with pytest.raises(UserError, match="'yarn'"):
        write_gguf(
            model_of(yarn, tokenizer), tokenizer, tmp_path / "m.gguf", "f32", "t"
        )


@pytest.mark.parametrize("name", SWITCHES)
def test_onnx_runtime_computes_the_same(name, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = random_model(tiny(name))
    if "expert" in name:
        with pytest.raises(UserError, match="experts"):
            write_onnx(model, tmp_path / "m.onnx")
        return
    write_onnx(model, tmp_path / "m.onnx")
    verdict = verify(model, tmp_path / "m.onnx", [[1, 2, 3], *sequences(61)])
    assert verdict.largest_difference < 1e-4
    assert verdict.same_argmax == 1
    assert verdict.places == 63


def test_a_verdict_is_a_sentence():
    assert Verdict(0.0123, 0.97, 300, "llama.cpp").sentence() == (
        "llama.cpp: max |Δ log p| 0.012 nats, the same likeliest token at 97.0% of 300 "
        "places."
    )
