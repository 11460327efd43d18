"""Real data: every text file gives the ids that tiktoken and `tokenizers` give."""

import base64
import functools
import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

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
PER_FILE = 300_000  # characters


@functools.cache
def texts() -> dict[str, str]:
    """The beginning of every readable file, by name."""
    return {str(path.relative_to(DATA)): text for path, text in _read_all()}


def _read_all() -> Iterator[tuple[Path, str]]:
    for path in sorted(DATA.rglob("*")):
        if path.suffix in (".txt", ".json", ".jsonl", ".md", ".csv", ".html", ".tsv"):
            data = path.read_bytes()
        elif path.name.endswith(".jsonl.gz"):
            data = gzip.decompress(path.read_bytes())
        else:
            continue
        text = data.decode(errors="replace")[:PER_FILE]
        if path.name.endswith((".jsonl", ".jsonl.gz")):
            text = (
                text.encode("ascii", "ignore").decode()
                if not text
                else _unescaped(text)
            )
        yield path, text


def _unescaped(lines: str) -> str:
    """JSON lines with their \\u escapes resolved, so that every script appears."""
    whole = lines[: lines.rfind("\n") + 1].splitlines()
    return "\n".join(
        json.dumps(json.loads(line), ensure_ascii=False) for line in whole if line
    )


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
