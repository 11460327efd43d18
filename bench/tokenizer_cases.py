"""What bench/tokenizer.py measures, for one number of threads."""

import base64
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.tokenizer.bpe import BPETokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.pretokenize import pattern_regex
from hornbook.tokenizer.train import train_bpe

ROOT = Path(__file__).parents[1]
VOCAB, PATTERN = 32_000, "gpt4"
Texts = dict[str, list[str]]


def measure(
    threads: int, quick: bool, data: Path | None, parts: list[str]
) -> dict[str, float]:
    """The figures of some parts: seconds for training, MB/s for encoding and decoding."""
    found: dict[str, float] = {}
    folder = data or Path(
        os.environ.get("HORNBOOK_TEST_DATA", ROOT.parent / "shared/data")
    )
    train, held_out = corpora(folder, 6_000_000 if quick else 100_000_000)
    vocab = 8_000 if quick else VOCAB
    if threads == 1 and "start" in parts:
        found |= start_up()
    if "train" in parts:
        training(found, train, vocab, threads, quick)
    tokenizer = train_bpe(
        TokenizerConfig(vocab_size=vocab, pattern=PATTERN), train, threads
    )
    peers = Peers(tokenizer)
    for name, texts in held_out.items():
        if name in parts:
            encoding(found, name, texts, tokenizer, peers, threads, quick)
    return found


def best(work: Callable[[], Any], rounds: int, threads: int) -> float:
    clock = time.process_time if threads == 1 else time.perf_counter
    times = []
    for _ in range(rounds):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def read(path: Path) -> Iterator[str]:
    if path.name.endswith(".zst"):
        import zstandard

        lines = zstandard.decompress(path.read_bytes()).splitlines()
    elif path.name.endswith(".gz"):
        lines = gzip.decompress(path.read_bytes()).splitlines()
    else:
        yield path.read_text(errors="replace")
        return
    for line in lines:
        record = json.loads(line)
        yield (
            record["text"]
            if "text" in record
            else max(map(str, record.values()), key=len)
        )


def corpora(folder: Path, size: int) -> tuple[list[str], Texts]:
    """60 % books, 20 % code, 20 % many languages to train; as much again held out."""
    python = Path(np.__file__).parents[1], Path(os.__file__).parent
    files = {
        "prose": sorted(folder.glob("books_en/*.jsonl.zst")),
        "code": sorted(path for base in python for path in base.rglob("*.py")),
        "multi": sorted(
            path
            for pattern in (
                "books_multi/*",
                "flores_langid/*.gz",
                "tinystories_ru/*.gz",
            )
            for path in folder.glob(pattern)
        ),
    }
    train: list[str] = []
    held_out: Texts = {}
    for (name, paths), share in zip(files.items(), (0.6, 0.2, 0.2), strict=True):
        chunks = [
            chunk for path in paths for text in read(path) for chunk in pieces_of(text)
        ]
        order = np.random.default_rng(1).permutation(len(chunks))
        taken = [chunks[i] for i in order]
        edge, total = 0, 0
        while edge < len(taken) * 3 // 4 and total < size * share:
            total += len(taken[edge].encode(errors="replace"))
            edge += 1
        train += taken[:edge]
        rest, total = [], 0
        for text in taken[edge:]:
            if total > min(size / 5, 20_000_000):
                break
            rest.append(text.encode(errors="replace").decode())
            total += len(rest[-1].encode())
        held_out[name] = rest
    return [text.encode(errors="replace").decode() for text in train], held_out


def pieces_of(text: str, size: int = 20_000) -> Iterator[str]:
    """Documents of about ``size`` characters, cut between lines."""
    at = 0
    while at < len(text):
        end = text.find("\n", at + size) + 1 or len(text)
        yield text[at:end]
        at = end


def training(
    found: dict[str, float], texts: list[str], vocab: int, threads: int, quick: bool
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
    for name, trainer in trainers.items():
        try:
            work = trainer(texts, vocab, threads)
        except ImportError:
            continue
        found[f"train {name}{suffix}"] = best(work, 1, threads)
    if threads == 1 and not quick:
        found["train, MB beyond the text"] = training_memory(texts, vocab)
    if threads == 1:
        ours = train_bpe(config, texts, threads).vocabulary.tokens
        found["train, share of merges as rustbpe's"] = as_rustbpe(ours, texts, vocab)


def train_tokenizers(texts: list[str], vocab: int, threads: int) -> Callable[[], Any]:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    def work() -> None:
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

    return work


def train_rustbpe(texts: list[str], vocab: int, threads: int) -> Callable[[], Any]:
    import rustbpe

    pattern = pattern_regex(PATTERN)
    return lambda: rustbpe.Tokenizer().train_from_iterator(
        iter(texts), vocab - 7, pattern=pattern
    )


def as_rustbpe(ours: list[bytes], texts: list[str], vocab: int) -> float:
    """Which share of our tokens rustbpe makes too, at the same place."""
    try:
        import rustbpe
    except ImportError:
        return 1.0
    theirs = rustbpe.Tokenizer()
    theirs.train_from_iterator(iter(texts), vocab - 7, pattern=pattern_regex(PATTERN))
    ranks = {rank: bytes(token) for token, rank in theirs.get_mergeable_ranks()}
    return sum(ranks[i] == token for i, token in enumerate(ours)) / len(ours)


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


MEMORY = """
import resource, sys, json
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_bpe
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
train_bpe(TokenizerConfig(vocab_size=264), ["abab ab"], 2)
texts = open(sys.argv[1], encoding="utf-8").read().split("\\0")
base = peak()
train_bpe(TokenizerConfig(vocab_size=int(sys.argv[2]), pattern="gpt4"), texts, 2)
print(peak() - base)
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
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
            found[f"compile, empty cache, {what}, seconds"] = float(
                in_fresh_process(code, cache=cache)
            )
            cached = min(float(in_fresh_process(code, cache=cache)) for _ in range(3))
            found[f"compile, cached, {what}, seconds"] = cached
    with tempfile.TemporaryDirectory() as cache:
        small = in_fresh_process(SMALL, cache=cache)
    found["small text, empty cache, seconds"] = float(small)
    return found


def in_fresh_process(code: str, *arguments: str, cache: str = "") -> str:
    env = (
        os.environ
        | {"PYTHONPATH": str(ROOT)}
        | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


class Peers:
    """The same vocabulary in every library that is installed."""

    def __init__(self, tokenizer: BPETokenizer) -> None:
        self.folder = Path(tempfile.mkdtemp())
        tokenizer.save(self.folder)
        self.ranks = {token: i for i, token in enumerate(tokenizer.vocabulary.tokens)}
        lines = [b"%s %d\n" % (base64.b64encode(t), i) for t, i in self.ranks.items()]
        (self.folder / "vocab.tiktoken").write_bytes(b"".join(lines))

    def tiktoken(self) -> Any:
        import tiktoken

        pattern = pattern_regex(PATTERN)
        return tiktoken.Encoding(
            "same", pat_str=pattern, mergeable_ranks=self.ranks, special_tokens={}
        )

    def tokenizers(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def gigatoken(self) -> Any:
        import gigatoken

        return gigatoken.Tokenizer.from_tiktoken(
            str(self.folder / "vocab.tiktoken"), pretokenizer="gpt4", special_tokens={}
        )

    def fastokens(self) -> Any:
        from fastokens._native import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))


def encoding(
    found: dict[str, float],
    name: str,
    texts: list[str],
    tokenizer: BPETokenizer,
    peers: Peers,
    threads: int,
    quick: bool,
) -> None:
    rounds = 2 if quick else 7
    whole = "\n".join(texts)
    part = whole[: 1_000_000 if quick else 4_000_000]
    size, part_size = (len(text.encode()) / 1e6 for text in (whole, part))
    many = sum(len(text.encode()) for text in texts) / 1e6

    def note(what: str, megabytes: float, work: Callable[[], Any], times: int) -> None:
        found[f"{name} {what}"] = megabytes / best(work, times, threads)

    def cold(
        make: Callable[[], Any], work: Callable[[Any], Any], what: str, mb: float
    ) -> None:
        clock = time.process_time if threads == 1 else time.perf_counter
        speeds = []
        for _ in range(rounds):
            fresh = make()
            start = clock()
            work(fresh)
            speeds.append(mb / (clock() - start))
        found[f"{name} {what} cold"] = max(speeds)
        note(f"{what} warm", mb, lambda: work(fresh), rounds)

    def ours() -> BPETokenizer:
        fresh = BPETokenizer(tokenizer.vocabulary, PATTERN)
        fresh.encode_batch(["one text to set things up " * 40_000] * 4, threads)
        for encoder in fresh._free:
            encoder.clear()
        return fresh

    cold(ours, lambda t: t.encode_batch(texts, threads), f"many ours {threads}", many)
    gigatoken = attempt(peers.gigatoken)
    if gigatoken:
        parallel = threads > 1
        run = f"many gigatoken {threads}"
        cold(
            peers.gigatoken,
            lambda g: g.encode_batch(texts, parallel=parallel),
            run,
            many,
        )
    if threads > 1:
        return
    data = whole.encode()
    cold(ours, lambda t: t.encode_array(data), "one ours", size)
    if gigatoken:
        cold(peers.gigatoken, lambda g: g.encode(data), "one gigatoken", size)
    if attempt(peers.fastokens):
        cold(peers.fastokens, lambda f: f.encode_ordinary(whole), "one fastokens", size)
    tiktoken = attempt(peers.tiktoken)
    ids = tokenizer.encode_array(whole)
    note("decode ours", size, lambda: tokenizer.decode_bytes(ids), rounds)
    if tiktoken:
        assert tiktoken.encode_ordinary(part) == tokenizer.encode(part)
        note("one tiktoken", part_size, lambda: tiktoken.encode_ordinary(part), 3)
        listed = ids.tolist()
        note("decode tiktoken", size, lambda: tiktoken.decode_bytes(listed), 3)
        if name == "prose":
            small_calls(found, tokenizer, tiktoken)
    tokenizers = attempt(peers.tokenizers)
    if tokenizers:
        short = part[:1_000_000]
        mb = len(short.encode()) / 1e6
        note("one tokenizers", mb, lambda: tokenizers.encode(short), 1)


def small_calls(
    found: dict[str, float], tokenizer: BPETokenizer, tiktoken: Any
) -> None:
    for who, call in (("", tokenizer.encode), (", tiktoken", tiktoken.encode_ordinary)):
        work = [call("Hello, world!") for _ in range(100)]
        del work
        seconds = best(
            lambda call=call: [call("Hello, world!") for _ in range(10_000)], 7, 1
        )
        found[f"13-byte call, microseconds{who}"] = seconds * 100


def attempt(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ImportError:
        return None
