"""Held-out text is predicted once each, and the sources' parts add up to the whole."""

import math

import pytest
import torch

from hornbook.data.documents import Document, write_documents
from hornbook.data.loader import validation_batches
from hornbook.data.shards import Shards, write_shards
from hornbook.infer.scoring import held_out_nats
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer
from hornbook.train.validation import bytes_per_source, validator

TEXTS = {
    "prose": ["it was the best of times", "it was the worst of times, was it"],
    "code": ["for i in range(7): print(i ** 2)", "x = [é for é in 'schön']"],
    "lists": ["1 2 3 4 5 6 7 8 9 10"],
}


@pytest.fixture(params=["byte", "char", "word"])
def held_out(request, tmp_path):
    """Shards of three sources, and the tokenizer they were made with."""
    texts = [(source, text) for source, each in TEXTS.items() for text in each]
    tokenizer = train_tokenizer(
        TokenizerConfig(kind=request.param), [text for _, text in texts]
    )
    write_documents(
        [
            Document(f"{n:032}", pair[0], f"{n}.txt", pair[1])
            for n, pair in enumerate(texts)
        ],
        tmp_path / "documents",
    )
    write_shards(tmp_path / "documents", tokenizer, tmp_path / "shards")
    return Shards.open(tmp_path / "shards"), tokenizer


def small_model(vocab_size):
    torch.manual_seed(0)
    return Transformer(
        ModelConfig(
            n_layers=1, d_model=16, n_heads=2, n_kv_heads=1, context_length=8,
            vocab_size=vocab_size, init="gpt2",
        )
    )  # fmt: skip


def test_each_source_has_the_bytes_of_its_texts(held_out):
    shards, tokenizer = held_out
    sizes = bytes_per_source(shards, tokenizer.decode_bytes)
    for source, texts in TEXTS.items():
        assert sizes[source] == sum(len(text.encode()) for text in texts)


def test_the_sources_add_up_to_the_whole_and_the_whole_is_the_plain_sum(held_out):
    shards, tokenizer = held_out
    model = small_model(shards.vocab_size)
    found = validator(model, shards, tokenizer.decode_bytes, 8, 3)()
    nats, tokens = held_out_nats(model, validation_batches(shards, 8, 3))
    assert tokens == shards.tokens
    assert found["validation_loss"] == pytest.approx(nats / tokens, rel=1e-6)
    whole = nats / math.log(2)
    assert found["validation_bits_per_byte"] == pytest.approx(whole / shards.bytes)
    sizes = bytes_per_source(shards, tokenizer.decode_bytes)
    parts = [found[f"validation_bits_per_byte.{name}"] * sizes[name] for name in TEXTS]
    assert sum(parts) == pytest.approx(whole, rel=1e-6)


def test_a_source_alone_is_measured_by_its_own_tokens(held_out):
    """Scored in place: what stands before the documents of `lists` is seen, not counted."""
    shards, tokenizer = held_out
    model = small_model(shards.vocab_size)
    found = validator(model, shards, tokenizer.decode_bytes, 8, 3)()
    start = int(shards.offsets[shards.sources["lists"].start])
    total, place = 0.0, 0
    for batch in validation_batches(shards, 8, 3):
        log_p = model(batch.tokens).detach().log_softmax(-1)
        for row in range(len(batch.tokens)):
            for time in range(8):
                target = int(batch.targets[row, time])
                if target >= 0:
                    total -= float(log_p[row, time, target]) if place >= start else 0.0
                    place += 1
    expected = total / math.log(2) / len(TEXTS["lists"][0])
    assert found["validation_bits_per_byte.lists"] == pytest.approx(expected, rel=1e-5)
