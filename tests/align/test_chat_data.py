import json
from collections import Counter

import pytest

from hornbook.align.chat_data import build_chat_data
from hornbook.align.config import ChatDataConfig
from hornbook.align.messages import Conversation, Preference, read_jsonl
from hornbook.core.errors import UserError
from hornbook.data.documents import Document, write_documents

MODULE = '''
def quote{n}(s):
    """Return a shell-escaped version of the string number {n}."""
    return "'" + s + "'"


def split{n}(s, comments=False):
    """Split the string number {n} into words. Quotes are kept together."""
    return s.split()


class Lexer{n}:
    """A lexer for the language number {n}."""
'''
GUIDE = """# Installing the thing

Run the installer and answer its questions.

## What to do next

Open the window and look at the nice view.
"""


@pytest.fixture
def build(tmp_path):
    def run(train, held_out=(), **config):
        for name, files in (("train", train), ("held_out", held_out)):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            documents = (Document(p, "here", p, t) for p, t in dict(files).items())
            write_documents(documents, folder)
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        facts = build_chat_data(
            ChatDataConfig(**config), tmp_path / "train", tmp_path / "held_out", out
        )
        return facts, out

    return run


def modules(*numbers):
    return {f"pkg/m{n}.py": MODULE.format(n=n) for n in numbers}


def answers(out, name="sft"):
    conversations = read_jsonl(out / f"{name}.jsonl", Conversation)
    return [m["content"] for c in conversations for m in c.messages[1::2]]


def test_questions_about_python_are_answered_in_one_voice(build):
    facts, out = build(modules(*range(8)))
    said = answers(out)
    assert facts["sft"] == len(read_jsonl(out / "sft.jsonl", Conversation))
    assert (
        "`pkg.m3.quote3` returns a shell-escaped version of the string number 3."
        in said
    )
    assert "`pkg.m3.Lexer3` is a lexer for the language number 3." in said
    assert 'def quote3(s):\n    return "\'" + s + "\'"' in said
    assert "`Lexer3` is in the module `pkg.m3`." in said
    explained = (
        "`pkg.m3.split3` splits the string number 3 into words. "
        "Quotes are kept together."
    )
    assert explained in said


def test_conversations_alternate_and_no_turn_is_empty(build):
    _, out = build(modules(*range(30)))
    conversations = read_jsonl(out / "sft.jsonl", Conversation)
    for conversation in conversations:
        roles = [m["role"] for m in conversation.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(m["content"].strip() for m in conversation.messages)
    assert {len(c.messages) for c in conversations} == {2, 4}


def test_the_same_documents_give_the_same_bytes_in_any_order(build):
    files = modules(*range(9))
    _, out = build(files)
    first = sorted((out / "sft.jsonl").read_text().splitlines())
    _, out = build(dict(reversed(files.items())))
    assert sorted((out / "sft.jsonl").read_text().splitlines()) == first


def test_held_out_pairs_come_from_held_out_documents_only(build):
    _, out = build(modules(*range(8)), modules(100, 101))
    held_out = (out / "sft_validation.jsonl").read_text()
    assert "pkg.m100" in held_out
    assert "pkg.m3" not in held_out
    assert "pkg.m10" not in (out / "sft.jsonl").read_text()
    assert "pkg.m10" not in (out / "preference.jsonl").read_text()


def test_every_description_is_right_as_often_as_wrong(build):
    _, out = build(modules(*range(8)))
    pairs = read_jsonl(out / "preference.jsonl", Preference)
    body = {side: Counter() for side in ("chosen", "rejected")}
    for pair in pairs:
        for side, counter in body.items():
            answer = getattr(pair, side)
            assert answer.startswith("`")
            counter[answer.split("` ", 1)[1]] += 1
    assert pairs
    assert body["chosen"] == body["rejected"]
    chosen, rejected = (sum(len(k) * v for k, v in c.items()) for c in body.values())
    assert chosen == rejected


def test_half_of_the_wrong_answers_name_the_thing_asked_about(build):
    _, out = build(modules(*range(40)))
    pairs = read_jsonl(out / "preference.jsonl", Preference)
    assert all(pair.chosen != pair.rejected for pair in pairs)
    same = [p.chosen.split("` ")[0] == p.rejected.split("` ")[0] for p in pairs]
    assert 0.3 < sum(same) / len(same) < 0.7


def test_limits_hold(build):
    facts, out = build(modules(*range(20)), max_pairs=30, max_answer_chars=50)
    assert facts["sft"] == 30
    assert max(map(len, answers(out))) <= 50


def test_headings_serve_where_there_is_no_python(build):
    _, out = build({"guide.md": GUIDE})
    text = (out / "sft.jsonl").read_text()
    assert "Installing the thing" in text
    assert "Run the installer and answer its questions." in answers(out)


def test_plain_text_gives_continuations(build):
    text = (
        "The sun rose slowly. All the birds began to sing.\n\n" + "O word\nof no use\n"
    )
    _, out = build({"novel.txt": text})
    assert answers(out) == ["All the birds began to sing."]


def test_nothing_to_ask_about_is_one_clear_sentence(build):
    with pytest.raises(UserError, match=r"\[sft\].*sft\.data\.path"):
        build({"data.txt": "1 2 3\n"})


def test_broken_python_is_counted_and_named(build):
    facts, _ = build(modules(1, 2) | {"bad.py": "def f(:\n"})
    assert facts["skipped"] == 1
    assert facts["skipped_places"][0].startswith("bad.py: not Python")


def test_a_file_of_conversations_takes_the_place_of_documents(build, tmp_path):
    own = tmp_path / "own.jsonl"
    rows = [
        {"instruction": f"Say {i}", "input": "", "output": str(i)} for i in range(200)
    ]
    own.write_text("".join(json.dumps(r) + "\n" for r in rows) + "{broken\n")
    facts, _ = build({}, path=str(own), holdout=0.2)
    assert facts["sft"] + facts["sft_validation"] == 200
    assert 20 < facts["sft_validation"] < 60
    assert facts["skipped"] == 1
    assert "own.jsonl, line 201: not JSON" in facts["skipped_places"][0]
