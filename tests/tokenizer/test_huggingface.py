"""The files: Hugging Face's own libraries read them alike; damage is one clear sentence."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.tokenizer.base import load_tokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.huggingface import ALPHABET, to_bytes, to_characters
from hornbook.tokenizer.pretokenize import PATTERNS
from hornbook.tokenizer.train import train_tokenizer
from tests.tokenizer.samples import nasty_text, trained


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Each pattern's tokenizer as `tokenizers` reads it; special names are text to it."""
    found = {}
    for pattern in PATTERNS:
        folder = tmp_path_factory.mktemp(pattern)
        trained(pattern).save(folder)
        found[pattern] = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        found[pattern].encode_special_tokens = True
    return found


@settings(max_examples=60)
@given(text=nasty_text, pattern=st.sampled_from(list(PATTERNS)))
def test_tokenizers_gives_the_same_ids_and_text(opened, text, pattern):
    ids = opened[pattern].encode(text).ids
    assert ids == trained(pattern).encode(text)
    assert opened[pattern].decode(ids) == trained(pattern).decode(ids)


@pytest.mark.parametrize("kind", ["char", "word"])
def test_simple_tokenizers_are_the_same_there(kind, corpus, tmp_path):
    tokenizer = train_tokenizer(TokenizerConfig(kind=kind, vocab_size=640), corpus)
    tokenizer.save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in (*corpus, "\U0001d7d8 unseen ꙮ"):
        assert theirs.encode(text[:3000]).ids == tokenizer.encode(text[:3000])
    known = corpus[0][:300] if kind == "char" else " the"
    assert theirs.decode(tokenizer.encode(known)) == known


def test_auto_tokenizer_opens_the_directory(corpus, tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = trained("gpt4")
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in corpus:
        assert theirs(text)["input_ids"] == tokenizer.encode(text)
        assert theirs.decode(tokenizer.encode(text)) == text
    assert theirs.eos_token_id == tokenizer.special["<|endoftext|>"]
    assert theirs.pad_token_id == tokenizer.special["<|pad|>"]
    assert theirs.convert_tokens_to_ids("<|user|>") == tokenizer.special["<|user|>"]


def test_byte_alphabet_is_a_bijection():
    assert len(set(ALPHABET)) == 256
    assert to_characters(b" the\n") == "ĠtheĊ"
    every = bytes(range(256))
    assert to_bytes(to_characters(every)) == every


@pytest.fixture
def saved(tmp_path):
    trained("gpt4").save(tmp_path)
    path = tmp_path / "tokenizer.json"
    return path, json.loads(path.read_text())


def test_string_merges_of_older_files_are_read(saved):
    path, table = saved
    table["model"]["merges"] = [" ".join(pair) for pair in table["model"]["merges"]]
    path.write_text(json.dumps(table))
    assert load_tokenizer(path.parent).encode("return self") == trained("gpt4").encode(
        "return self"
    )


def test_files_that_list_every_split_of_a_token_are_read(saved, corpus):
    """Llama 3's layout: several pairs make one token, and whole pieces come first."""
    path, table = saved
    vocab = table["model"]["vocab"]
    splits = [
        (token, [name[:i], name[i:]])
        for name, token in vocab.items()
        for i in range(1, len(name))
        if name[:i] in vocab and name[i:] in vocab
    ]
    assert len(splits) > len(table["model"]["merges"])
    table["model"]["merges"] = [pair for _, pair in sorted(splits, key=lambda s: s[0])]
    table["model"]["ignore_merges"] = True
    path.write_text(json.dumps(table))
    theirs = tokenizers.Tokenizer.from_file(str(path))
    ours = load_tokenizer(path.parent)
    for text in corpus:
        assert ours.encode_batch([text]).ids.tolist() == theirs.encode(text).ids
        assert ours.encode_reference(text[:1000]) == trained("gpt4").encode(text[:1000])


def test_the_plain_gpt2_layout_is_read(tmp_path, corpus):
    """A lone ByteLevel pre-tokenizer splits by GPT-2's pattern itself."""
    trained("gpt2").save(tmp_path)
    path = tmp_path / "tokenizer.json"
    table = json.loads(path.read_text())
    table["pre_tokenizer"] = table["pre_tokenizer"]["pretokenizers"][1] | {
        "use_regex": True
    }
    path.write_text(json.dumps(table))
    ours = load_tokenizer(tmp_path)
    assert ours.pattern == "gpt2"
    theirs = tokenizers.Tokenizer.from_file(str(path))
    for text in corpus:
        assert ours.encode(text) == theirs.encode(text).ids


def change(*keys, to):
    def apply(table):
        for key in keys[:-1]:
            table = table[key]
        table[keys[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change("model", "type", to="Unigram"), "only byte-level BPE"),
        (change("model", "byte_fallback", to=True), "byte fallback"),
        (change("model", "merges", to=[]), "merges is empty"),
        (change("normalizer", to={"type": "NFC"}), "normalizes"),
        (change("model", "vocab", to={}), "damaged"),
        (change("model", "merges", 3, to=["x", "quux"]), "damaged"),
        (change("pre_tokenizer", to=None), "damaged"),
        (change("pre_tokenizer", "pretokenizers", 0, "type", to="Digits"), "not known"),
        (change("model", "end_of_word_suffix", to="</w>"), "end_of_word_suffix"),
        (lambda table: table["model"]["vocab"].update(zzz=500_000), "no merge makes"),
        (lambda table: table["model"]["vocab"].update(zzz=10**15), "ids must be"),
        (lambda table: table["model"]["vocab"].update(zzz=-1), "ids must be"),
        (lambda table: table["model"]["vocab"].update(zzz="7"), "damaged"),
        (change("added_tokens", 0, "id", to=97), "one id to two tokens"),
        (change("added_tokens", 0, "id", to=10**15), "ids must be"),
        (lambda table: table.pop("model"), "damaged"),
    ],
)
def test_other_and_damaged_files_are_one_clear_sentence(saved, damage, words):
    path, table = saved
    damage(table)
    path.write_text(json.dumps(table))
    with pytest.raises(UserError, match=words) as caught:
        load_tokenizer(path.parent)
    assert str(path) in str(caught.value)


def test_truncated_and_missing_files_are_named(saved, tmp_path):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="not valid JSON"):
        load_tokenizer(path.parent)
    with pytest.raises(UserError, match="does not exist"):
        load_tokenizer(tmp_path / "nowhere")
