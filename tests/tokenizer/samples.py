"""A small real tokenizer per pattern, and strings that break tokenizers."""

import argparse
import functools
import textwrap
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from hornbook.tokenizer.bpe import BPETokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_bpe

settings.register_profile("tokenizer", max_examples=150, deadline=None)
settings.load_profile("tokenizer")

SENTENCES = [
    "Съешь же ещё этих мягких французских булок да выпей чаю.",
    "いろはにほへと ちりぬるを 私は日本語を勉強しています。",
    "天地玄黄，宇宙洪荒。日月盈昃，辰宿列張。",
    "नमस्ते दुनिया, आप कैसे हैं? १२३४५",
    "Zażółć gęślą jaźń — straße, l'été, ¿qué? 😀👍🏽 café\u0301",
    "สวัสดีชาวโลก مرحبا بالعالم שלום 안녕하세요 세계",
    "I'll say it's HERE, We'Re they'VE 1234567 camelCaseWords HTTPServer/path\r\n\r\n",
]


@functools.cache
def corpus() -> list[str]:
    """Real code and prose of every installation, and a few lines of many scripts."""
    code = [
        Path(module.__file__).read_text() for module in (argparse, textwrap, functools)
    ]
    return [*code, *(sentence * 20 for sentence in SENTENCES)]


@functools.cache
def trained(pattern: str, vocab_size: int = 1024) -> BPETokenizer:
    return train_bpe(
        TokenizerConfig(vocab_size=vocab_size, pattern=pattern), corpus(), 1
    )


NASTY = [
    *"abzSDMTLVEstdmlre'''' \t\n\r    019.,!(_-\"/<|>\x00\x0b\x0c\x1c\x85",
    *"\u00a0\u2003\u3000\u2028éßſЖ中文日本語한국어ก็ิअि०١٢٣²½Ⅷ😀🏽\u200d\u0301\U00010400\U0001d7d8ʰǅ",
    *("'ſ", "'ll", "'Re", "\r\n", "  ", "\n\n", " the", "return ", "<|endoftext|>"),
]
nasty_runs = st.tuples(st.sampled_from(NASTY), st.sampled_from([1, 1, 1, 2, 3, 50, 70]))
nasty_text = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(NASTY), max_size=150).map("".join),
    st.lists(nasty_runs, max_size=25).map(lambda runs: "".join(s * n for s, n in runs)),
)
