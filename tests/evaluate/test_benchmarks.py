"""Benchmarks: what is asked, how it is judged, and what a kill leaves behind."""

import json
from itertools import pairwise

import msgspec
import pytest
from bytes_tokenizer import BytesTokenizer
from shapes import random_model, tiny

from hornbook.core.errors import UserError
from hornbook.evaluate import harness
from hornbook.evaluate.examples import lettered, plain_wiki, read_examples
from hornbook.evaluate.generation import extract, pass_at_k
from hornbook.evaluate.harness import run_task
from hornbook.evaluate.likelihood import encode_pair, rolling_windows
from hornbook.evaluate.notes import Record
from hornbook.evaluate.summary import summarize
from hornbook.evaluate.task import load_task, shipped_tasks
from hornbook.evaluate.wikitext import detokenized
from hornbook.infer.engine import Engine

TASK = """
kind = "choice"
question = "Q: {{ question }}"
choices = "options"
gold = "right"
group = "subject"
extra_metrics = ["acc_norm"]
[files]
test = "test.jsonl"
shots = "shots.jsonl"
"""
RECORDS = [
    {
        "question": f"{n}?",
        "options": ["yes", "no", "maybe"],
        "right": n % 3,
        "subject": "ab"[n % 2],
    }
    for n in range(10)
]


@pytest.fixture
def folder(tmp_path):
    for name, records in (("test", RECORDS), ("shots", RECORDS[:4])):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    (tmp_path / "mine.toml").write_text(TASK)
    return tmp_path


@pytest.fixture(scope="module")
def engine():
    return Engine(
        random_model(tiny("default", vocab_size=270, context_length=128)),
        BytesTokenizer(),
    )


def test_worked_examples_stand_before_each_question(folder):
    task = load_task(str(folder / "mine.toml"))
    first = read_examples(task, folder, shots=2)[0]
    context = first.contexts[0]
    assert context.endswith("\n\nQ: 0?")
    assert context.count("Q: ") == 3
    assert first.continuations == (" yes", " no", " maybe")
    in_order = msgspec.structs.replace(task, shots_order="first")
    assert read_examples(in_order, folder, shots=2)[5].contexts[0] == (
        "Q: 0? yes\n\nQ: 1? no\n\nQ: 5?"
    )


def test_scores_are_those_of_the_likeliest_choice(folder, engine):
    task = load_task(str(folder / "mine.toml"))
    examples = read_examples(task, folder, shots=0)
    records = run_task(engine, task, examples, folder / "notes.jsonl")
    for example, record in zip(examples, records, strict=True):
        asked = [
            [*engine.tokenizer.encode(c), *engine.tokenizer.encode(t)]
            for c, t in zip(example.contexts, example.continuations, strict=True)
        ]
        start = len(engine.tokenizer.encode(example.contexts[0]))
        nats = [sum(s[start - 1 :]) for s in engine.score(asked)]
        assert record.nats == pytest.approx(nats, abs=1e-4)
        assert record.scores["acc"] == float(nats.index(max(nats)) == example.gold)
        norms = [n / len(c) for n, c in zip(nats, example.choices, strict=True)]
        assert record.scores["acc_norm"] == float(
            norms.index(max(norms)) == example.gold
        )
    results = summarize(task, records)
    assert [result["metric"] for result in results] == ["acc", "acc_norm"]
    assert results[0]["n"] == 10
    assert results[0]["ci95"][0] <= results[0]["value"] <= results[0]["ci95"][1]


def test_a_kill_costs_no_item_that_was_noted(folder, engine, monkeypatch):
    task = load_task(str(folder / "mine.toml"))
    examples = read_examples(task, folder, shots=0)
    notes = folder / "notes.jsonl"
    monkeypatch.setattr(harness, "AT_ONCE", 3)
    whole = run_task(engine, task, examples, notes)
    lines = notes.read_bytes().splitlines(keepends=True)
    notes.write_bytes(b"".join(lines[:6]) + lines[6][:10])  # cut off within a line
    asked = []
    choose = harness.choose
    monkeypatch.setattr(
        harness,
        "choose",
        lambda engine, some: asked.extend(some) or choose(engine, some),
    )
    again = run_task(engine, task, examples, notes)
    assert [example.number for example in asked] == [5, 6, 7, 8, 9]
    assert [r.scores for r in again] == [r.scores for r in whole]
    run_task(engine, task, examples, notes, identity="another model")
    assert len(asked) == 15


def test_the_score_is_the_same_at_any_batch_size_and_in_any_order(
    folder, engine, monkeypatch
):
    task = load_task(str(folder / "mine.toml"))
    examples = read_examples(task, folder, shots=2)
    whole = run_task(engine, task, examples, folder / "whole.jsonl")
    monkeypatch.setattr(harness, "AT_ONCE", 3)
    turned = run_task(engine, task, examples[::-1], folder / "turned.jsonl")[::-1]
    for one, other in zip(whole, turned, strict=True):
        assert one.nats == pytest.approx(other.nats, abs=1e-5)
        assert one.scores == other.scores


def test_what_is_written_is_the_same_at_any_batch_size_and_in_any_order(folder):
    text = TASK.replace('"choice"', '"generate"').replace(
        'choices = "options"\ngold = "right"', 'target = "{{ options[right] }}"'
    )
    text = text.replace('extra_metrics = ["acc_norm"]\n', "max_tokens = 12\n")
    (folder / "written.toml").write_text(text)
    task = load_task(str(folder / "written.toml"))
    examples = read_examples(task, folder, shots=1)
    network = random_model(tiny("default", vocab_size=270, context_length=128))
    found = []
    for rows, some in ((1, examples), (4, examples[::-1]), (32, examples)):
        engine = Engine(network, BytesTokenizer(), rows)
        records = run_task(engine, task, some, folder / f"{rows}.jsonl")
        found.append({r.number: (r.output, r.scores) for r in records})
    assert found[0] == found[1] == found[2]
    assert len({tuple(output) for output, _ in found[0].values()}) > 1


BAD = {
    "an unknown key": (
        'kind = "choice"\nmetric = "x"\n[files]\ntest = "t"',
        "unknown key 'metric'",
    ),
    "a missing key": ('kind = "choice"\n[files]\ntest = "t"', "needs 'choices'"),
    "no file": (
        TASK.replace('"test.jsonl"', '"absent.jsonl"'),
        "no file 'absent.jsonl'",
    ),
    "an unknown column": (TASK.replace("options", "optoins"), "'optoins' is undefined"),
    "a gold out of range": (
        TASK.replace('"right"', '"7"'),
        "the right one is number 7",
    ),
    "no choices": (TASK.replace('"options"', '"[]"'), "has 0 choices"),
    "not TOML": ("kind =", "not valid TOML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_task_that_does_not_fit_is_one_sentence(folder, name):
    text, said = BAD[name]
    (folder / "bad.toml").write_text(text)
    with pytest.raises(UserError, match=said):
        read_examples(load_task(str(folder / "bad.toml")), folder, shots=0)


def test_too_few_worked_examples_and_broken_lines_are_named(folder):
    task = load_task(str(folder / "mine.toml"))
    with pytest.raises(UserError, match="4 worked examples, fewer than the 9"):
        read_examples(task, folder, shots=9)
    (folder / "test.jsonl").write_text('{"question": "x"}\n{broken\n')
    with pytest.raises(UserError, match=r"test.jsonl line 2 is not valid JSON"):
        read_examples(task, folder, shots=0)
    with pytest.raises(UserError, match="no task 'mlmu'"):
        load_task("mlmu")


def test_every_shipped_task_is_whole():
    names = shipped_tasks()
    wanted = {"mmlu", "gsm8k", "humaneval", "mbpp", "hellaswag", "piqa", "winogrande"}
    assert wanted | {"arc_easy", "arc_challenge", "lambada", "blimp"} <= set(names)
    for name in names:
        assert load_task(name).about


def test_blanks_at_the_end_of_a_context_go_with_what_follows():
    tokenizer = BytesTokenizer()
    context, continuation = encode_pair(tokenizer, "so  ", "what")
    assert bytes(context) == b"so"
    assert bytes(continuation) == b"  what"
    context, continuation = encode_pair(tokenizer, "", "what")
    assert context == [tokenizer.special["<|endoftext|>"]]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 23])
def test_rolling_windows_predict_every_token_once(count):
    ids = list(range(count))
    windows = list(rolling_windows(ids, 99, 8))
    assert [i for _, predicted in windows for i in predicted] == ids
    assert all(len(c) + len(p) <= 9 for c, p in windows)
    for (_, before), (context, _) in pairwise(windows):
        assert context[-1] == before[-1]


def test_answers_are_extracted_by_pattern():
    flexible = r"(-?[$0-9.,]{2,})|(-?[0-9]+)"
    assert extract(flexible, "last", "so 12 and then 7") == "7"
    assert extract(r"#### (\-?[0-9\.\,]+)", "first", "#### 1,234\n#### 5") == "1,234"
    assert extract(flexible, "last", "none") == "[invalid]"


def test_pass_at_k_is_the_unbiased_estimate():
    from itertools import combinations

    outcomes = [True] * 3 + [False] * 7
    for k in (1, 2, 5):
        draws = list(combinations(outcomes, k))
        assert pass_at_k(10, 3, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_at_k(5, 0, 5) == 0


def test_marks_of_the_sources_are_taken_out():
    assert plain_wiki(" Cook [title] Stir [step] it  now") == "Cook. Stir it now"
    assert lettered("(A) one (B) two three") == ["one", "two three"]
    assert detokenized("a well @-@ known ( fact ) , so") == "a well-known (fact), so"


def test_groups_widen_the_interval():
    task = msgspec.structs.replace(load_task("mmlu"), extra_metrics=())

    def interval(grouped):
        records = [
            Record(n, "", {"acc": float(n // 50 % 2)}, str(n // 50) if grouped else "")
            for n in range(500)
        ]
        low, high = summarize(task, records)[0]["ci95"]
        return high - low

    assert interval(True) > 2 * interval(False)
