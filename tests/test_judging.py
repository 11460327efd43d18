"""Chat judged by a reward model, and the win rate of two models judged so."""

import json

import msgspec
import numpy as np
import pytest
import torch

from hornbook.align.reward import RewardModel, save_reward
from hornbook.benchmarks import run_benchmarks
from hornbook.core.errors import UserError
from hornbook.evaluate.compare import compare
from hornbook.evaluate.notes import Record, read_notes
from hornbook.infer.engine import Engine
from hornbook.judging import RewardJudge
from hornbook.model.huggingface import TokenIds, save_model
from hornbook.tokenizer.base import load_tokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.train import train_tokenizer

QUESTIONS = [f"What is {n} and {n}?" for n in range(6)]


SHAPE = {
    "n_layers": 1,
    "d_model": 32,
    "n_heads": 2,
    "n_kv_heads": 1,
    "context_length": 64,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, opinionated):
    """Two models, a judge, questions, and the task with short answers."""
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=270), [" ".join(QUESTIONS)])
    for seed, name in enumerate(("a", "b", "judge/reward/model")):
        tokenizer.save(folder / name)
        model = opinionated(tokenizer.vocab_size, seed, **SHAPE)
        if name.startswith("judge"):
            save_reward(RewardModel(model), folder / name, TokenIds())
        else:
            save_model(model, folder / name)
    talks = [{"messages": [{"role": "user", "content": q}]} for q in QUESTIONS]
    lines = "".join(json.dumps(talk) + "\n" for talk in talks)
    (folder / "sft_validation.jsonl").write_text(lines)
    (folder / "mine.toml").write_text(
        'kind = "chat"\nquestion = "{{ messages[0].content }}"\nmax_tokens = 8\n'
        'main_metric = "reward"\n[files]\ntest = "sft_validation.jsonl"\n'
    )
    return folder


def evaluated(folder, name, out, **options):
    from hornbook.model.huggingface import load_model

    engine = Engine(load_model(folder / name), load_tokenizer(folder / name))
    task = (str(folder / "mine.toml"),)
    return run_benchmarks(engine, folder / name, task, folder, out, **options)


def test_answers_are_scored_by_the_reward_model_and_kept(folder, tmp_path):
    results = evaluated(folder, "a", tmp_path, reward=folder / "judge")
    (notes,) = tmp_path.rglob("*.jsonl")
    _, records = read_notes(notes)
    judge = RewardJudge(folder / "judge", torch.device("cpu"))
    for number, record in records.items():
        expected = judge.reward(QUESTIONS[number], record.output[0])
        assert record.scores["reward"] == pytest.approx(expected, abs=1e-5)
    mean = np.mean([record.scores["reward"] for record in records.values()])
    assert results[0]["value"] == pytest.approx(mean)
    assert results[0]["ci95"][0] <= mean <= results[0]["ci95"][1]
    files = json.loads(next(tmp_path.rglob("files.json")).read_text())
    assert len(files["mine"]["sft_validation.jsonl"]) == 64


def test_two_models_make_a_win_rate(folder, tmp_path):
    for name in ("a", "b"):
        evaluated(folder, name, tmp_path / name, reward=folder / "judge")
    a, b = (next((tmp_path / name).rglob("*.jsonl")).parent for name in ("a", "b"))
    reward, wins = compare(a, b)
    assert (reward.metric, wins.metric) == ("reward", "win rate")
    assert wins.a + wins.b == pytest.approx(1)
    assert len(wins.only_a) + len(wins.only_b) <= wins.n == len(QUESTIONS)
    same = compare(a, a)[1]
    assert (same.a, same.only_a, same.p) == (0.5, [], 1.0)  # ties, half a win each


def test_ties_are_half_a_win_and_say_nothing():
    from hornbook.evaluate.compare import compare_records

    leads = [1.0, 2.0, 0.5, -1.0, 0.0, 1e-6]
    a = {n: Record(n, "", {"reward": lead}) for n, lead in enumerate(leads)}
    b = {n: Record(n, "", {"reward": 0.0}) for n in a}
    wins = compare_records("chat", a, b)[1]
    assert wins.a == pytest.approx(4 / 6)
    assert (wins.only_a, wins.only_b) == ([0, 1, 2], [3])
    assert wins.p == pytest.approx(10 / 16)  # 3 of 4 on either side, a fair coin's


def test_another_judges_scores_are_never_compared(folder, tmp_path, opinionated):
    evaluated(folder, "a", tmp_path / "a", reward=folder / "judge")
    tokenizer = load_tokenizer(folder / "a")
    other = tmp_path / "other"
    tokenizer.save(other)
    network = opinionated(tokenizer.vocab_size, 9, **SHAPE)
    save_reward(RewardModel(network), other, TokenIds())
    evaluated(folder, "a", tmp_path / "b", reward=other)
    a, b = (next((tmp_path / name).rglob("*.jsonl")).parent for name in ("a", "b"))
    with pytest.raises(UserError, match="different questions"):
        compare(a, b)


def test_what_cannot_be_judged_or_asked_is_one_sentence(folder, tmp_path):
    with pytest.raises(UserError, match="with --reward"):
        evaluated(folder, "a", tmp_path)
    with pytest.raises(UserError, match="holds no reward model"):
        evaluated(folder, "a", tmp_path, reward=tmp_path)


class Markless:
    """A tokenizer without marks for turns."""

    def __init__(self, inner):
        self.inner, self.vocab_size = inner, inner.vocab_size
        self.special = {"<|endoftext|>": inner.special["<|endoftext|>"]}

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_a_model_without_a_chat_template_is_not_asked_to_chat(folder, tmp_path):
    from hornbook.model.huggingface import load_model

    tokenizer = Markless(load_tokenizer(folder / "a"))
    engine = Engine(load_model(folder / "a"), tokenizer)
    task = (str(folder / "mine.toml"),)
    with pytest.raises(UserError, match="no chat template"):
        run_benchmarks(
            *(engine, folder / "a", task, folder, tmp_path), reward=folder / "judge"
        )
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_turn_is_put_as_the_template_does_and_long_prompts_are_told(folder, tmp_path):
    from hornbook.evaluate.examples import read_examples
    from hornbook.evaluate.generation import prompt_ids
    from hornbook.evaluate.harness import cut_note
    from hornbook.evaluate.task import load_task
    from hornbook.model.huggingface import load_model

    engine = Engine(load_model(folder / "a"), load_tokenizer(folder / "a"))
    task = load_task(str(folder / "mine.toml"))
    (example, *_) = examples = read_examples(task, folder, 0)
    marks = engine.tokenizer.special
    ids = prompt_ids(engine, example, chat=True)
    assert (ids[0], ids[-1]) == (marks["<|user|>"], marks["<|assistant|>"])
    assert prompt_ids(engine, example, chat=False) == ids[1:-2]
    assert cut_note(engine, task, examples) == ""
    long = msgspec.structs.replace(task, max_tokens=60)
    shown = read_examples(
        msgspec.structs.replace(long, question="{{ messages[0].content * 9 }}"),
        folder,
        0,
    )
    assert cut_note(engine, long, shown).startswith(
        "6 of 6 prompts lost their beginning"
    )
