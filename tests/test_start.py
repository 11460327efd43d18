"""`hornbook import`: runs that go on from published weights, or say why they can't."""

import json
import sysconfig
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hornbook.core.errors import UserError
from hornbook.model.huggingface import load_model
from hornbook.recipe import load
from hornbook.run import run_recipe
from hornbook.start import probe, start_model, start_tokenizer, write_import
from hornbook.tokenizer.base import SPECIAL_TOKENS, load_tokenizer
from hornbook.tokenizer.chat import render_chat

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

TEXTS = Path(sysconfig.get_paths()["stdlib"]) / "email"
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 3.0,
    "original_max_position_embeddings": 16,
}
FAMILIES = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "llama": SHAPE | {"rope_parameters": LLAMA3},
    "qwen3": SHAPE,
    "mixtral": SHAPE | {"num_local_experts": 4, "num_experts_per_tok": 2},
}


def published(directory: Path, family: str, vocab_size: int = 300) -> Path:
    """A directory as Transformers saves it, with a tokenizer of 299 byte-level tokens."""
    torch.manual_seed(3)
    settings = transformers.AutoConfig.for_model(
        family, vocab_size=vocab_size, eos_token_id=298, **FAMILIES[family]
    )
    model = transformers.AutoModelForCausalLM.from_config(settings)
    model.save_pretrained(directory)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=299,
        special_tokens=[],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    texts = [path.read_text() for path in sorted(TEXTS.glob("*.py"))]
    bpe.train_from_iterator(texts, trainer)
    bpe.save(str(directory / "tokenizer.json"))
    return directory


SMALL = (
    "pretrain.steps=2",
    "pretrain.batch=2",
    "model.context_length=32",
    "samples.prompts=[]",
    "evaluate.functions=0",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_goes_on_from_the_weights_of_each_family(family, tmp_path, monkeypatch):
    source = published(tmp_path / "published", family)
    monkeypatch.chdir(tmp_path)
    written = write_import(source, None, str(TEXTS))
    recipe = load(str(written), SMALL)
    run = run_recipe(recipe, tmp_path / "runs", "cpu", until="pretrain")
    diary = (run / "pretrain" / "metrics.jsonl").read_text().splitlines()
    ours = load_model(run / "pretrain" / "model")
    assert json.loads(diary[0])["step"] == 1
    theirs = transformers.AutoModelForCausalLM.from_pretrained(source)
    name, tensor = next(
        (n, p)
        for n, p in load_model(source).named_parameters()
        if n.endswith("down.weight")
    )
    moved = (ours.get_parameter(name) - tensor).abs().max()
    assert (
        0 < moved < 1e-3
    )  # two gentle steps from where it was, not from anywhere else
    back = transformers.AutoModelForCausalLM.from_pretrained(run / "pretrain" / "model")
    assert type(back) is type(theirs)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_model_starts_with_their_logits(family, tmp_path):
    source = published(tmp_path, family)
    path = write_import(source, tmp_path / "r.toml", None)
    config = load(str(path), ("model.context_length=32",)).model
    ours = start_model(source, config).eval()
    theirs = transformers.AutoModelForCausalLM.from_pretrained(source).eval()
    tokens = torch.arange(32)[None] * 7 % 299  # row 299, to spare, is ours now
    assert (
        ((theirs(tokens).logits - ours(tokens)[..., :300])[..., :299]).abs().max()
        < 1e-4
    )


def test_the_tokenizer_keeps_its_ids_and_gains_our_special_tokens(tmp_path):
    source = published(tmp_path, "llama")
    ours = start_tokenizer(source)
    theirs = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
    text = "def parse(self, héllo): <|endoftext|> return 3\n"
    assert ours.encode(text) == theirs.encode(text).ids
    assert sorted(ours.special.values()) == list(range(299, 306))
    assert ours.vocab_size == 320
    ours.save(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    assert again.special == ours.special
    assert again.vocab_size == 320


def test_new_tokens_begin_as_the_mean_and_the_end_of_text_as_their_own_end(tmp_path):
    source = published(tmp_path, "llama")
    config = load(str(write_import(source, tmp_path / "r.toml", None))).model
    model, old = start_model(source, config), load_model(source)
    special = start_tokenizer(source).special
    rows = model.embedding.weight
    assert torch.equal(rows[special["<|endoftext|>"]], old.embedding.weight[298])
    torch.testing.assert_close(rows[special["<|user|>"]], old.embedding.weight.mean(0))
    assert torch.equal(rows[:299], old.embedding.weight[:299])


def test_rows_to_spare_are_used_before_the_vocabulary_grows(tmp_path):
    tokenizer = start_tokenizer(published(tmp_path, "qwen3", vocab_size=310))
    assert tokenizer.vocab_size == 310
    assert set(SPECIAL_TOKENS) <= tokenizer.special.keys()


def test_a_model_of_ours_can_be_gone_on_from(small_run, tmp_path):
    source = small_run / "pretrain" / "model"
    path = write_import(source, tmp_path / "on.toml", None)
    recipe = load(str(path))
    known = load_tokenizer(source)
    assert recipe.model.vocab_size == known.vocab_size
    assert start_tokenizer(source).special == known.special
    model = start_model(source, recipe.model)
    for name, tensor in load_model(source).state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_gpt2s_own_pair_of_tokenizer_files_is_read(tmp_path):
    source = published(tmp_path, "gpt2")
    table = json.loads((source / "tokenizer.json").read_text())["model"]
    before = start_tokenizer(source).encode("import email.message")
    (source / "tokenizer.json").unlink()
    (source / "vocab.json").write_text(json.dumps(table["vocab"]))
    merges = [m if isinstance(m, str) else " ".join(m) for m in table["merges"]]
    (source / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    assert start_tokenizer(source).encode("import email.message") == before


def test_changed_weights_redo_the_run(tmp_path):
    source = published(tmp_path, "llama")
    before = probe(source)
    tensors = load_file(source / "model.safetensors")
    tensors["model.norm.weight"] += 1
    save_file(tensors, source / "model.safetensors")
    assert probe(source) != before


def damage_tensors(change):
    def damage(source: Path) -> None:
        tensors = load_file(source / "model.safetensors")
        change(tensors)
        save_file(tensors, source / "model.safetensors")

    return damage


def damage_config(**changes):
    def damage(source: Path) -> None:
        table = json.loads((source / "config.json").read_text())
        (source / "config.json").write_text(json.dumps(table | changes))

    return damage


def pickled(source: Path) -> None:
    (source / "model.safetensors").rename(source / "pytorch_model.bin")


def no_bytes(source: Path) -> None:
    table = json.loads((source / "tokenizer.json").read_text())
    table["model"]["byte_fallback"] = True
    (source / "tokenizer.json").write_text(json.dumps(table))


def sentence_pieces(source: Path) -> None:
    (source / "tokenizer.json").unlink()
    (source / "tokenizer.model").write_bytes(b"pieces")


KEY = "model.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_tensors(lambda t: t.pop(KEY)), f"lacks tensor '{KEY}'"),
        (
            damage_tensors(lambda t: t.update(odd=torch.ones(1))),
            "unexpected tensor 'odd'",
        ),
        (damage_tensors(lambda t: t.update({KEY: torch.ones(3, 4)})), "shape (3, 4)"),
        (damage_config(model_type="mamba2"), "'model_type' is 'mamba2'"),
        (damage_config(num_attention_heads=5), "must be a multiple of 'n_kv_heads'"),
        (damage_config(mlp_bias=True), "'mlp_bias' is True"),
        (pickled, "never opened"),
        (no_bytes, "only byte-level BPE"),
        (sentence_pieces, "tokenizer.model is a SentencePiece tokenizer"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_in_one_sentence(tmp_path, damage, said):
    source = published(tmp_path / "published", "llama")
    damage(source)
    with pytest.raises(UserError) as caught:
        write_import(source, tmp_path / "r.toml", None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r.toml").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.n_layers=3", "[model] doesn't fit the weights"),
        ("model.d_ff=48", "shape (48, 32)"),
        ("model.tied=true", "'head.weight' is only in one"),
    ],
)
def test_a_model_changed_beyond_its_weights_is_refused(tmp_path, change, said):
    source = published(tmp_path, "llama")
    path = write_import(source, tmp_path / "r.toml", None)
    with pytest.raises(UserError) as caught:
        start_model(source, load(str(path), (change,)).model)
    assert said in str(caught.value)


def test_learned_positions_may_be_fewer_but_not_more(tmp_path):
    source = published(tmp_path, "gpt2")
    path = write_import(source, tmp_path / "r.toml", None)
    assert start_model(source, load(str(path), ("model.context_length=16",)).model)
    with pytest.raises(UserError, match=r"position\.table\.weight"):
        start_model(source, load(str(path), ("model.context_length=128",)).model)


def test_an_existing_recipe_is_not_written_over(tmp_path):
    source = published(tmp_path / "published", "llama")
    write_import(source, tmp_path / "r.toml", None)
    with pytest.raises(UserError, match="exists already"):
        write_import(source, tmp_path / "r.toml", None)


def test_a_template_without_generation_marks_gives_way_to_ours(tmp_path):
    """Which tokens are trained never depends on a published template."""
    source = published(tmp_path / "published", "llama")
    template = "{% for m in messages %}{{ m['role'] + m['content'] }}{% endfor %}"
    kind = "PreTrainedTokenizerFast"
    theirs = {"tokenizer_class": kind, "chat_template": template}
    (source / "tokenizer_config.json").write_text(json.dumps(theirs))
    ours = start_tokenizer(source)
    ours.save(tmp_path / "saved")
    talk = [
        {"role": "user", "content": "Hi?"},
        {"role": "assistant", "content": "Ho."},
    ]
    chat = render_chat(ours, talk)
    assert ours.decode(chat.ids[chat.mask == 1].tolist()) == "Ho.<|end|>"
    found = transformers.AutoTokenizer.from_pretrained(
        tmp_path / "saved"
    ).apply_chat_template(talk, return_dict=True, return_assistant_tokens_mask=True)
    assert found["input_ids"] == chat.ids.tolist()
    assert found["assistant_masks"] == chat.mask.tolist()
