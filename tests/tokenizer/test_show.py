"""The card counts what it says it counts; colours never read text as markup."""

import json

from rich.console import Console

from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.show import colored_tokens, compare, describe, render, visible
from hornbook.tokenizer.train import train_tokenizer
from tests.tokenizer.samples import trained


def test_card_counts(corpus, tmp_path):
    tokenizer = trained("gpt4")
    card = describe(
        tokenizer,
        [
            (("code", "all"), corpus[0]),
            (("code", "all"), corpus[1]),
            (("short", "all"), "aé b"),
        ],
    )
    everything, code, short = card.measures
    assert everything.tokens == code.tokens + short.tokens
    assert code.tokens == sum(len(tokenizer.encode(text)) for text in corpus[:2])
    assert code.bytes == sum(len(text.encode()) for text in corpus[:2])
    assert (short.bytes, short.words, short.unknown) == (5, 2, 0)
    assert short.fertility == short.tokens / 2
    used = {i for t in (*corpus[:2], "aé b") for i in tokenizer.encode(t)}
    assert card.n_unused == len(tokenizer.vocabulary.tokens) - len(used)
    assert len(card.longest[0]) >= len(card.longest[1])
    card.save(tmp_path)
    saved = json.loads((tmp_path / "card.json").read_text())
    assert saved["measures"][1]["bytes_per_token"] == round(code.bytes_per_token, 4)


def test_unknown_pieces_are_counted():
    tokenizer = train_tokenizer(TokenizerConfig(kind="char"), ["abc"])
    assert describe(tokenizer, [(("x",), "abz")]).measures[0].unknown == 1


def test_comparison_renders(corpus):
    both = {"A": trained("gpt4"), "B": trained("gpt2")}
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(render(compare(both, [(("[bold]code",), corpus[0])])))
    assert "[bold]code" in captured.get()
    assert "bytes/token" in captured.get()
    for fact in ("unused here", "longest unused", "longest", "tokens/word"):
        assert fact in captured.get()


def test_fertility_is_left_out_where_blanks_part_no_words():
    cards = compare(
        {"A": trained("gpt4")}, [(("ja",), "私は日本語を勉強しています。" * 9)]
    )
    console = Console(width=120)
    with console.capture() as captured:
        console.print(render(cards))
    assert "–" in captured.get()


def test_colours_show_every_byte_as_text():
    tokenizer = trained("gpt4")
    text = "[red]日本\n"
    shown = colored_tokens(tokenizer, text, ids=False).plain
    assert shown.startswith("[red]")
    assert shown.endswith("\\n")
    assert visible(b"\xe3") == "<E3>"
