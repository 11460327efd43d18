"""Real data: every text file gives the ids that tiktoken and `tokenizers` give."""

import base64
import functools
import gzip
import hashlib
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
import tiktoken
import tokenizers

from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.openai import read_gpt2, read_tiktoken
from hornbook.tokenizer.pretokenize import PATTERNS, pattern_regex
from hornbook.tokenizer.train import train_bpe

DATA = Path(
    os.environ.get(
        "HORNBOOK_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"
    )
)
pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"no test data at {DATA}")
PER_FILE = 200_000  # characters, taken from all over the file


@functools.cache
def texts() -> dict[str, str]:
    """Parts of every file that is text, by name, and Python's own library as code."""
    library = sorted(Path(os.__file__).parent.glob("*.py"))
    files = [path for path in sorted(DATA.rglob("*")) if path.is_file()]
    found = {}
    for path in [*files, *library]:
        lines = _unpacked(path).decode(errors="replace").splitlines(keepends=True)
        step = sum(map(len, lines)) // PER_FILE + 1
        some = (
            lines[::step] if len(lines) > step else [line[:PER_FILE] for line in lines]
        )
        if ".json" in path.name:
            some = [_unescaped(line) for line in some]
        found[str(path.relative_to(path.parents[1]))] = "".join(some)
    return found


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name.endswith(".jsonl.gz"):
        return gzip.decompress(data)
    if path.name.endswith(".zst"):
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return data


def _unescaped(line: str) -> str:
    """A line of JSON with its \\u escapes resolved, so that every script appears."""
    try:
        return json.dumps(json.loads(line), ensure_ascii=False) + "\n"
    except ValueError:
        return line  # a JSON file of many lines


def test_every_language_of_the_data_is_among_the_texts():
    spoken = {
        json.loads(line)["lang"]
        for line in texts()["flores_langid/flores_dev400.jsonl.gz"].splitlines()
    }
    assert len(spoken) == 41


def test_the_bytes_of_every_file_come_back(gpt2_files):
    """Archives and pages in old encodings too: nothing has to be UTF-8."""
    tokenizer = read_gpt2(*gpt2_files)
    for path in sorted(DATA.rglob("*")):
        if path.is_file():
            data = path.read_bytes()[:2000]
            assert tokenizer.decode_bytes(tokenizer.encode_array(data)) == data, path


@pytest.fixture(scope="module")
def gpt2_files():
    folder = DATA / "gpt2_vocab"
    if not folder.exists():
        pytest.skip("no GPT-2 vocabulary in the test data")
    return folder / "vocab.bpe", folder / "encoder.json"


def test_gpt2_gives_tiktokens_ids_on_everything(gpt2_files, tmp_path):
    published = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
    assert hashlib.sha256(gpt2_files[0].read_bytes()).hexdigest() == published
    tokenizer = read_gpt2(*gpt2_files)
    assert tokenizer.special == {"<|endoftext|>": 50256}
    ranks = {token: i for i, token in enumerate(tokenizer.vocabulary.tokens)}
    oracle = tiktoken.Encoding(
        "gpt2", pat_str=pattern_regex("gpt2"), mergeable_ranks=ranks, special_tokens={}
    )
    batch = tokenizer.encode_batch(texts().values()).split()
    for (name, text), ids in zip(texts().items(), batch, strict=True):
        assert ids.tolist() == oracle.encode_ordinary(text), name
        assert tokenizer.decode(ids) == text, name

    path = tmp_path / "gpt2.tiktoken"
    lines = [
        b"%s %d" % (base64.b64encode(token), rank) for token, rank in ranks.items()
    ]
    path.write_bytes(b"\n".join(lines))
    again = read_tiktoken(path, "gpt2")
    assert list(again.vocabulary.pairs) == list(tokenizer.vocabulary.pairs)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
def test_trained_tokenizers_agree_with_both_on_everything(pattern, tmp_path):
    config = TokenizerConfig(vocab_size=8192, pattern=pattern)
    tokenizer = train_bpe(config, texts().values())
    tokenizer.save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    theirs.encode_special_tokens = True
    automatic = pytest.importorskip("transformers").AutoTokenizer
    opened = automatic.from_pretrained(tmp_path)
    oracle = tiktoken.Encoding(
        pattern,
        pat_str=pattern_regex(pattern),
        mergeable_ranks={
            token: i for i, token in enumerate(tokenizer.vocabulary.tokens)
        },
        special_tokens={},
    )
    for name, text in texts().items():
        ids = tokenizer.encode(text)
        assert ids == oracle.encode_ordinary(text), name
        part = text[:8000]
        assert tokenizer.encode(part) == theirs.encode(part).ids, name
        if "<|" not in part:  # there it would take text for marks
            assert tokenizer.encode(part) == opened(part)["input_ids"], name
