"""What bench/tokenizer.py measures of training, and until the first id comes."""

import tempfile
from collections.abc import Callable
from typing import Any

from tokenizer_timing import PATTERN, best, clock_of, in_fresh_process

from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.huggingface import to_bytes
from hornbook.tokenizer.pretokenize import pattern_regex
from hornbook.tokenizer.train import train_bpe


def training(
    found: dict[str, float], texts: list[str], vocab: int, threads: int
) -> None:
    config = TokenizerConfig(vocab_size=vocab, pattern=PATTERN)
    train_bpe(TokenizerConfig(vocab_size=300), texts[:1], threads)  # compile
    suffix = "" if threads == 1 else f" {threads} threads"
    found[f"train ours{suffix}"] = best(
        lambda: train_bpe(config, texts, threads), 5, threads
    )
    trainers = {
        "tokenizers": train_tokenizers,
        "rustbpe": train_rustbpe,
        "gigatoken": train_gigatoken,
        "sentencepiece": train_sentencepiece,
    }
    clock = clock_of(threads)
    trained: dict[str, Any] = {}
    for name, trainer in trainers.items():
        try:
            work = trainer(texts, vocab, threads)
        except ImportError:
            continue
        start = clock()
        trained[name] = work()
        found[f"train {name}{suffix}"] = clock() - start
    if threads == 1:
        ours = train_bpe(config, texts, threads).vocabulary.tokens
        found |= same_merges(ours, trained)


def same_merges(ours: list[bytes], trained: dict[str, Any]) -> dict[str, float]:
    """Which share of our tokens the peers make too: rustbpe, whose ties go as ours, at the
    same place; `tokenizers`, whose ties go by another order of bytes, at any."""
    found = {}
    if "rustbpe" in trained:
        pairs = trained["rustbpe"].get_mergeable_ranks()
        ranks = {rank: bytes(token) for token, rank in pairs}
        same = sum(ranks[i] == token for i, token in enumerate(ours))
        found["train, share of merges as rustbpe's"] = same / len(ours)
    if "tokenizers" in trained:
        theirs = {to_bytes(name) for name in trained["tokenizers"].get_vocab()}
        shared = len(theirs & set(ours)) / len(ours)
        found["train, share of tokens that tokenizers learns too"] = shared
    return found


def train_tokenizers(texts: list[str], vocab: int, threads: int) -> Callable[[], Any]:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    def work() -> Any:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern_regex(PATTERN)), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=vocab - 7,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )
        tokenizer.train_from_iterator(iter(texts), trainer)
        return tokenizer

    return work


def train_rustbpe(texts: list[str], vocab: int, threads: int) -> Callable[[], Any]:
    import rustbpe

    def work() -> Any:
        tokenizer = rustbpe.Tokenizer()
        pattern = pattern_regex(PATTERN)
        tokenizer.train_from_iterator(iter(texts), vocab - 7, pattern=pattern)
        return tokenizer

    return work


def train_gigatoken(texts: list[str], vocab: int, threads: int) -> Callable[[], Any]:
    import gigatoken

    data = b"\0".join(text.encode() for text in texts)
    return lambda: gigatoken.train_bpe(data, vocab - 7, [], separator=b"\0")


def train_sentencepiece(
    texts: list[str], vocab: int, threads: int
) -> Callable[[], Any]:
    import sentencepiece

    lines = [line for text in texts for line in text.split("\n") if line]
    folder = tempfile.mkdtemp()
    return lambda: sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=f"{folder}/model",
        vocab_size=vocab - 7,
        model_type="bpe",
        byte_fallback=True,
        num_threads=threads,
        minloglevel=2,
        character_coverage=0.9995,
    )


# The text is read before, and reading it takes more memory than it fills: so the mark of the
# highest use is set back (Linux) to what is used now.
MEMORY = """
import gc, sys
from pathlib import Path
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_bpe
def memory(line):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith(line))
train_bpe(TokenizerConfig(vocab_size=264), ["abab ab"], 2)
texts = open(sys.argv[1], encoding="utf-8").read().split("\\0")
gc.collect()
Path("/proc/self/clear_refs").write_text("5")
base = memory("VmRSS")
train_bpe(TokenizerConfig(vocab_size=int(sys.argv[2]), pattern="gpt4"), texts, 2)
print(memory("VmHWM") - base)
"""


def training_memory(texts: list[str], vocab: int) -> float:
    """Peak memory of our trainer beyond the loaded text, MB, two threads."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        file.write("\0".join(text.replace("\0", "") for text in texts))
        file.flush()
        return float(in_fresh_process(MEMORY, file.name, str(vocab)))


COMPILE = """
import time
from hornbook.tokenizer.bpe import BPETokenizer, Vocabulary
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_bpe
tokenizer = BPETokenizer(Vocabulary.trained([(97, 98)]), "gpt4")
import numba, rich, hornbook.core.progress
from numba.core import entrypoints
entrypoints.init_all()  # what peers' packages register with Numba is not ours
start = time.perf_counter()
if TRAIN:
    train_bpe(TokenizerConfig(vocab_size=264), ["abab ab"], 1)
if ENCODE:
    tokenizer.encode_batch(["ab " * 100], 1)
print(time.perf_counter() - start)
"""
SMALL = """
import time
from hornbook.tokenizer.bpe import BPETokenizer, Vocabulary
tokenizer = BPETokenizer(Vocabulary.trained([(97, 98)]), "gpt4")
start = time.perf_counter()
tokenizer.encode("ab " * 30)
print(time.perf_counter() - start)
"""


def start_up() -> dict[str, float]:
    """Clock time until encoder, trainer, both are ready; until a small text is encoded."""
    found = {}
    for what, train, encode in (
        ("encoder", False, True),
        ("trainer", True, False),
        ("trainer and encoder", True, True),
    ):
        code = COMPILE.replace("TRAIN", str(train)).replace("ENCODE", str(encode))
        cold, cached = [], []
        for _ in range(3):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
                cold.append(float(in_fresh_process(code, cache=cache)))
                cached.append(float(in_fresh_process(code, cache=cache)))
        found[f"compile, empty cache, {what}, seconds"] = min(cold)
        found[f"compile, cached, {what}, seconds"] = min(cached)
    with tempfile.TemporaryDirectory() as cache:
        small = in_fresh_process(SMALL, cache=cache)
    found["small text, empty cache, seconds"] = float(small)
    return found
