import numpy as np
import pytest
import torch

from hornbook.align.messages import Preference, user
from hornbook.align.preference import (
    PreferenceBatches,
    encode_pairs,
    load_pairs,
    save_pairs,
    with_reference,
)
from hornbook.align.scoring import log_probs
from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

TOKENIZER = train_tokenizer(TokenizerConfig(kind="byte"), [])
CPU = torch.device("cpu")


def make_model(seed=0):
    torch.manual_seed(seed)
    config = ModelConfig(
        n_layers=2,
        d_model=32,
        n_heads=4,
        n_kv_heads=2,
        context_length=64,
        vocab_size=TOKENIZER.vocab_size,
    )
    model = Transformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


PREFERENCES = [
    Preference([user(f"Number {i}?")], f"{'good ' * (i % 3)}{i}", f"bad{'!' * i}")
    for i in range(7)
]


@pytest.fixture(scope="module")
def pairs():
    encoded = encode_pairs(PREFERENCES, TOKENIZER, 64)
    return with_reference(encoded, make_model(1), batch=3, device=CPU)


def test_padding_never_changes_a_log_probability(pairs):
    model = make_model(2)
    batch = pairs.batch(slice(None))
    other = batch.tokens.clone()
    answered = batch.targets != IGNORE
    last = batch.tokens.shape[-1] - answered.flip(-1).int().argmax(-1)
    for pair in range(len(pairs)):
        for side in (0, 1):
            other[pair, side, last[pair, side] :] = 65
    assert not torch.equal(other, batch.tokens)
    with torch.no_grad():
        before = log_probs(model, batch.tokens, batch.targets)
        after = log_probs(model, other, batch.targets)
    assert torch.equal(before, after)


def test_only_the_answer_and_its_end_are_scored(pairs):
    for row, preference in enumerate(PREFERENCES):
        for side, answer in enumerate((preference.chosen, preference.rejected)):
            own = pairs.targets[row, side]
            ids = own[own != IGNORE].tolist()
            assert TOKENIZER.decode(ids) == f"{answer}<|end|>"
    assert pairs.tokens.shape[-1] % 16 == 0


def test_pairs_survive_the_disk_bit_for_bit(pairs, tmp_path):
    save_pairs(pairs, tmp_path / "pairs.safetensors")
    again = load_pairs(tmp_path / "pairs.safetensors")
    assert np.array_equal(again.tokens, pairs.tokens)
    assert np.array_equal(again.targets, pairs.targets)
    assert again.reference.tobytes() == pairs.reference.tobytes()
    with pytest.raises(UserError, match="does not exist"):
        load_pairs(tmp_path / "none.safetensors")


def test_batches_are_a_pure_function_of_the_step(pairs):
    batches = PreferenceBatches(pairs, 3, seed=5)
    assert torch.equal(
        batches(11).tokens, PreferenceBatches(pairs, 3, seed=5)(11).tokens
    )
    assert batches(0).tokens.shape == (3, 2, pairs.tokens.shape[-1])
    assert not torch.equal(batches(0).tokens, batches(1).tokens)


def test_pairs_that_are_too_long_are_counted():
    long = Preference([user("x" * 80)], "a", "b")
    encoded = encode_pairs([*PREFERENCES, long], TOKENIZER, 64)
    assert (len(encoded), encoded.too_long) == (len(PREFERENCES), 1)
    with pytest.raises(UserError, match="1 were longer"):
        PreferenceBatches(encode_pairs([long], TOKENIZER, 64), 2, seed=1)
