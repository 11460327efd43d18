"""Gopher, C4 and FineWeb: every number against the published rule written in plain Python."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.characters import DIGIT, LETTER, kinds
from hornbook.data.documents import read_texts
from hornbook.data.filter.c4 import keep_c4_lines
from hornbook.data.filter.config import (
    C4,
    FilterConfig,
    GopherQuality,
)
from hornbook.data.filter.expression import evaluate
from hornbook.data.filter.filters import filter_documents
from hornbook.data.filter.linescan import C4_PHRASES, SENTENCE_MARKS
from hornbook.data.filter.measures import measure_table
from hornbook.data.filter.rules import decide, rules, with_preset
from hornbook.data.filter.webstatistics import STOP_WORDS, measure_web


def has(word, *wanted):
    return any(kinds()[ord(c)] in wanted for c in word)


def repeats(items):
    seen, count, characters = set(), 0, 0
    for item in items:
        if item in seen:
            count += 1
            characters += len(item)
        seen.add(item)
    return count, characters


def top_ngram(words, n):
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count


def repeated_ngrams(words, n):
    seen, characters, i = set(), 0, 0
    while i + n <= len(words):
        gram = tuple(words[i : i + n])
        if gram in seen:
            characters += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return characters


CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")


def c4(lines, closed):
    """``(lines, lorem ipsum, curly bracket)`` as the code that made C4 goes about it."""
    kept, lorem, curly = [], False, False
    for line in lines:
        words = line.split()
        if max(map(len, words)) > 1000 or len(words) < 5:
            continue
        clean = CITATION.sub("", line)
        if closed and (not clean.endswith(tuple(".!?\"'")) or clean.endswith("...")):
            continue
        lorem |= "lorem ipsum" in line.lower()
        if "javascript" in line.lower():
            continue
        curly |= "{" in line
        if not any(phrase in line.lower() for phrase in C4_PHRASES):
            kept.append(clean)
    return kept, lorem, curly


def reference(text):
    words, characters = text.split(), max(len(text), 1)
    n_words = max(len(words), 1)
    real = [w for w in words if has(w, LETTER, DIGIT)]
    raw = [line for line in text.split("\n") if line.strip()]
    lines = [line.strip(" \t\r") for line in raw]
    n_all = max(len(text.removesuffix("\n").split("\n")), 1)
    strict, loose = c4(lines, True), c4(lines, False)
    paragraphs = ["\n".join(p) for p in paragraphs_of(text)]
    n_lines = max(len(lines), 1)
    found = {
        "words": len(real),
        "mean_word_length": sum(map(len, real)) / max(len(real), 1),
        "hashes_per_word": text.count("#") / n_words,
        "ellipses_per_word": (text.count("...") + text.count("…")) / n_words,
        "alphabetic_word_share": sum(has(w, LETTER) for w in words) / n_words,
        "stop_words": len(set(words) & set(STOP_WORDS)),
        "newlines_per_word": text.count("\n") / n_words,
        "bullet_line_share": sum(x.startswith(("-", "•")) for x in lines) / n_all,
        "ellipsis_line_share": sum(x.endswith(("...", "…")) for x in lines) / n_all,
        "closed_line_share": sum(x.endswith(tuple(SENTENCE_MARKS)) for x in lines)
        / n_lines,
        "short_line_share": sum(len(x) <= 30 for x in raw) / n_lines,
        "repeated_line_share": repeats(raw)[0] / n_lines,
        "repeated_line_characters": repeats(raw)[1] / characters,
        "repeated_paragraph_share": repeats(paragraphs)[0] / max(len(paragraphs), 1),
        "repeated_paragraph_characters": repeats(paragraphs)[1] / characters,
        "repeated_characters_in_lines": repeats(raw)[1] / max(sum(map(len, raw)), 1),
        "c4_lines": len(strict[0]),
        "c4_open_lines": len(loose[0]),
        "c4_lorem_ipsum": strict[1],
        "c4_open_lorem_ipsum": loose[1],
        "c4_curly_brackets": strict[2],
        "c4_open_curly_brackets": loose[2],
    }
    found |= {f"top_{n}gram": top_ngram(words, n) / characters for n in (2, 3, 4)}
    found |= {
        f"repeated_{n}grams": repeated_ngrams(words, n) / characters
        for n in range(5, 11)
    }
    return found


def paragraphs_of(text):
    current = []
    for line in [*text.split("\n"), ""]:
        if line.strip():
            current.append(line)
        elif current:
            yield current
            current = []


pieces = st.sampled_from(
    [
        "the",
        "of",
        "Word",
        "word",
        "schön",
        "日本",
        "#tag",
        "...",
        "…",
        "- x",
        "• y",
        "3.14",
    ]
) | st.sampled_from(
    [
        "Use cookies",
        "javascript",
        "lorem ipsum",
        "{",
        "end.",
        'said "so."',
        "what?!",
        "。",
    ]
)
pieces |= st.sampled_from(
    ["\xa0", "[12]", "it ends.[3]\n", "[edit]\n", "[citation needed]", "[x]", "!"]
)
pieces |= st.sampled_from(
    ["\n", "\n\n", "  ", "same line again and again here.\n", "a b c d e f g h i j k "]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=60).map(" ".join))
def test_every_number_equals_the_published_rule_in_plain_python(text):
    measured = measure_web(pa.array(["x", text], pa.large_string()))
    for name, value in reference(text).items():
        assert measured[name][1] == pytest.approx(float(value)), name


def test_numbers_do_not_depend_on_the_batch():
    texts = ["one two three. " * 50, "a\n\nb\n\na", "", "x " * 20_000, "日本語。" * 9]
    together = measure_web(pa.array(texts, pa.large_string()))
    for row, text in enumerate(texts):
        alone = measure_web(pa.array([text], pa.large_string()))
        assert all(alone[name][0] == together[name][row] for name in together)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two three four five. Six seven. And the rest!", 3),
        ("It costs 3.14 dollars or so, they said.", 1),
        ("Really?! They went there anyway, I think...  ", 0),  # ends in an ellipsis
        ('He stood up. "I know," he said (quietly).', 2),
        ('They all said "so be it."', 1),
        ("It was so.[1] And so it is.[2]", 2),
        ("天地 玄黄 宇宙 洪荒 日月。盈昃。辰宿.", 3),
        ("No final mark at the end of it", 0),
    ],
)
def test_sentences_of_the_lines_that_c4_keeps(text, sentences):
    measured = measure_web(pa.array([text], pa.large_string()))
    assert measured["c4_sentences"][0] == sentences


PROSE = (
    "The house stood on a hill, and the road that led to it was long. Nobody had come up "
    "for years, but in the spring of that year a letter arrived.\n"
    "It was addressed to the owner, who had been dead for a decade. The postman did not "
    "know what to do with it, so he left it under the stone beside the door.\n"
    "When the rain came the ink ran, and with it went the only copy of the will.\n"
)
BAD = {
    "gopher: word count": "The cat sat on the mat with that dog and went to bed. " * 3,
    "gopher: hashes": PROSE + "# " * 40 + "\n",
    "gopher: bullet lines": "- one of the things that were to be done\n" * 20,
    "gopher: stop words": "Das Haus stand auf einem Berg und niemand kam hinauf. " * 8,
    "gopher: repeated lines": PROSE + "Read more\n" * 8,
    "gopher: repeated paragraphs": "\n\n".join([PROSE.strip()] * 2 + ["The end."]),
    "c4: lorem ipsum": PROSE + "Lorem ipsum dolor sit amet consectetur.\n",
    "c4: curly bracket": PROSE + "It goes function() { return 1; } and so on.\n",
    "c4: too few sentences": PROSE.replace(".", ","),
    "fineweb: short lines": PROSE + "".join(f"Item number {i}\n" for i in range(20)),
    "fineweb: open lines": PROSE.replace(".\n", "\n")
    .replace(". ", ".\n")
    .replace(".", ""),
}


@pytest.mark.parametrize("reason", BAD)
def test_each_published_rule_drops_its_clear_case(reason):
    rule = [
        r
        for r in rules(FilterConfig(preset=reason.split(":")[0]))
        if r.reason == reason
    ]
    columns = measure_web(pa.array([PROSE, BAD[reason]], pa.large_string()))
    assert decide(columns, rule).tolist() == [-1, 0]


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=60).map(" ".join), st.booleans())
def test_c4_keeps_the_lines_that_its_own_code_keeps(text, closed):
    lines = [x.strip(" \t\r") for x in text.split("\n") if x.strip()]
    kept = keep_c4_lines(pa.array(["x", text], pa.large_string()), closed)
    assert kept.to_pylist()[1] == "\n".join(c4(lines, closed)[0])


def test_a_long_line_without_blanks_is_no_long_word_because_of_its_bytes():
    text = "天地玄黄" * 200 + " 宇 宙 洪 荒."
    measured = measure_web(pa.array([text], pa.large_string()))
    assert measured["c4_lines"][0] == 1


def test_the_presets_drop_the_bad_and_keep_the_good(corpus, tmp_path):
    documents = corpus([PROSE, *BAD.values()])
    facts = filter_documents(
        FilterConfig(preset="fineweb"), documents, tmp_path / "out"
    )
    assert list(read_texts(tmp_path / "out")) == [PROSE.strip()]
    assert sum(r["documents"] for r in facts["reasons"].values()) == len(BAD)


def test_c4_drops_lines_and_keeps_the_page(corpus, tmp_path):
    page = (
        PROSE + "Home | About\nWe use cookies to make this site better.\nNo full stop\n"
    )
    config = FilterConfig(preset="c4")
    facts = filter_documents(config, corpus([page]), tmp_path / "out")
    assert list(read_texts(tmp_path / "out")) == [PROSE.strip()]
    assert facts["bytes_out"] == len(PROSE.strip())


def test_a_table_overrides_the_preset_and_the_rest_stays():
    config = with_preset(
        FilterConfig(preset="fineweb", gopher_quality=GopherQuality(min_words=7))
    )
    assert config.gopher_quality.min_words == 7
    assert config.c4 == C4(closed_lines_only=False)
    assert config.fineweb is not None
    assert with_preset(FilterConfig()).gopher_quality is None


def test_decisions_can_be_taken_again_from_the_stored_numbers(corpus, tmp_path):
    import pyarrow.parquet as pq

    documents = corpus([PROSE, *BAD.values()])
    config = FilterConfig(preset="fineweb")
    filter_documents(config, documents, tmp_path / "out")
    stored = pq.read_table(tmp_path / "out" / "statistics.parquet")
    columns = {n: stored[n].to_numpy() for n in stored.column_names[1:-1]}
    asked = rules(config)
    again = [asked[v].reason if v >= 0 else "" for v in decide(columns, asked)]
    assert again == stored["reason"].to_pylist()


def test_a_rule_of_ones_own(corpus, tmp_path):
    config = FilterConfig(keep="words > 50 and not (digit_share > 0.1)", min_bytes=0)
    facts = filter_documents(
        config, corpus([PROSE, "Too few words."]), tmp_path / "out"
    )
    assert facts["reasons"]["own rule"]["documents"] == 1
    assert facts["documents_out"] == 1


COLUMNS = {"words": np.array([10.0, 200.0, 0.0]), "bytes": np.array([50.0, 900.0, 0.0])}


@pytest.mark.parametrize(
    ("expression", "truth"),
    [
        ("words > 100", [False, True, False]),
        ("0 < words <= 200 and bytes / words > 4.5", [True, False, False]),
        ("not words or bytes == 900", [False, True, True]),
        ("words * 2 - 1 >= -1 + 20", [True, True, False]),
        ("True", [True, True, True]),
    ],
)
def test_expressions_mean_what_python_means(expression, truth):
    assert evaluate(expression, COLUMNS).tolist() == truth


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("wrods > 1", "did you mean 'words'"),
        ("words >", "is not an expression"),
        ("__import__('os').system('true')", "is not allowed"),
        ("words.__class__", "is not allowed"),
        ("[x for x in words]", "is not allowed"),
        ("'text' == words", "is not allowed"),
        ("words ** 10 ** 10", "is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
    ],
)
def test_expressions_can_do_nothing_else(expression, said):
    with pytest.raises(UserError, match=re.escape(said)):
        evaluate(expression, COLUMNS)


def test_web_numbers_are_measured_only_when_asked_for(corpus):
    table = pa.table({"text": pa.array([PROSE], pa.large_string())})
    assert "top_2gram" not in measure_table(table, FilterConfig())
    assert "top_2gram" in measure_table(
        table, with_preset(FilterConfig(preset="gopher"))
    )
