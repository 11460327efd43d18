"""What a finished run is measured by: the ``evaluate`` stage.

The base model is judged on held-out text and on the functions it writes, the chat model on
held-out conversations and preferences, and both on what they say to the recipe's prompts.
"""

from collections.abc import Callable
from typing import Any

from hornbook.align.baselines import bag_of_words_accuracy, length_accuracy
from hornbook.align.held_out import (
    preference_results,
    preference_scores,
    reward_results,
    sft_results,
)
from hornbook.align.messages import Conversation, Preference, read_jsonl
from hornbook.align.preference import load_pairs
from hornbook.align.reward import load_reward, rewards_of
from hornbook.align.sft import pack
from hornbook.data.documents import read_texts
from hornbook.evaluate.results import Result, save_results
from hornbook.evaluate.suite import code_result, text_result
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.pipeline import Task
from hornbook.post_stages import last_policy
from hornbook.reinforcing import solved
from hornbook.tokenizer.base import load_tokenizer
from hornbook.train.backend import choose_device
from hornbook.training import answer, complete, load
from hornbook.tuning import encode_rewarded


def evaluate(task: Task) -> dict[str, Any]:
    """Measure the run's models; results and samples are returned and stored."""
    results = _base_results(task)
    wanted = task.recipe.samples
    samples = _samples(task, "pretrain", complete, wanted.prompts, wanted.sampling)
    transcripts: list[dict[str, str]] = []
    if task.recipe.sft:
        results += _sft_results(task)
        last = last_policy(task.recipe)
        transcripts = _samples(task, last, answer, wanted.questions, wanted.answering)
    if task.recipe.dpo:
        results += _dpo_results(task)
    if task.recipe.reward:
        results += _reward_results(task)
    for name in ("grpo", "ppo"):
        results += solved(task, name) if getattr(task.recipe, name) else []
    save_results(results, task.out / "results.json")
    return {"results": results, "samples": samples, "transcripts": transcripts}


def _base_results(task: Task) -> list[Result]:
    model, tokenizer = load(task.input("pretrain") / "model")
    model.to(choose_device(task.device)[0])
    split = task.input("split")
    held_out = list(read_texts(split / "validation"))
    config = task.recipe.evaluate
    text = text_result(
        model,
        tokenizer,
        read_texts(split / "train"),
        held_out,
        model.config.context_length,
        config,
    )
    engine = Engine(model, tokenizer)
    sampling = SamplingConfig(max_tokens=config.max_tokens, temperature=0.5, top_k=50)

    def write(prompts: list[str]) -> list[str]:
        return [c["text"] for c in complete(engine, tuple(prompts), sampling)]

    code = code_result(write, held_out, config, task.recipe.seed)
    return [text, code] if code else [text]


def _sft_results(task: Task) -> list[Result]:
    model, tokenizer = load(task.input("sft") / "model")
    files = task.input("chatdata")
    held_out = read_jsonl(files / "sft_validation.jsonl", Conversation)
    rows = pack(held_out, tokenizer, model.config.context_length)
    base, _ = load(task.input("pretrain") / "model")
    before = {r["metric"]: r["value"] for r in sft_results(base, rows)}
    return [
        {**result, "baselines": {"before fine-tuning": before[result["metric"]]}}
        for result in sft_results(model, rows)
    ]


def _dpo_results(task: Task) -> list[Result]:
    assert task.recipe.dpo is not None
    model, _ = load(task.input("dpo") / "model")
    pairs = load_pairs(task.input("dpo") / "preference_validation.safetensors")
    return preference_results(preference_scores(model, pairs), task.recipe.dpo.beta)


def _reward_results(task: Task) -> list[Result]:
    directory, chats = task.input("reward") / "model", task.input("chatdata")
    model, tokenizer = load_reward(directory), load_tokenizer(directory)
    length = model.body.config.context_length
    pairs = encode_rewarded(task, "preference_validation", tokenizer, length)
    train, held_out = (
        read_jsonl(chats / f"{name}.jsonl", Preference)
        for name in ("preference", "preference_validation")
    )
    if not held_out:
        return []
    baselines = {
        "by length": length_accuracy(train, held_out),
        "bag of words": bag_of_words_accuracy(train, held_out),
    }
    return reward_results(rewards_of(model, pairs), baselines)


def _samples(
    task: Task,
    stage: str,
    write: Callable[..., list[dict[str, str]]],
    prompts: tuple[str, ...],
    sampling: SamplingConfig,
) -> list[dict[str, str]]:
    model, tokenizer = load(task.input(stage) / "model")
    return write(Engine(model, tokenizer), prompts, sampling)
