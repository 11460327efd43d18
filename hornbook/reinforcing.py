"""Learning from rewards: the policy writes answers, and those that did well get likelier.

``grpo`` compares the answers of a group with one another. It starts from the last policy
before it.
"""

import os
from typing import Any

from hornbook.align.config import GRPOConfig
from hornbook.align.exercises import exercises_from, exercises_of_files
from hornbook.align.grpo import collapse_alarm, policy_gradient
from hornbook.align.judge import Exercise, Judge
from hornbook.align.messages import Conversation, read_jsonl
from hornbook.align.rollouts import Rollouts
from hornbook.align.solving import SOLVED, Examination, solved_results
from hornbook.core.files import write_json
from hornbook.evaluate.results import Result
from hornbook.pipeline import Task
from hornbook.post_stages import start_of
from hornbook.sandbox.run import require
from hornbook.tokenizer.base import Tokenizer
from hornbook.train.backend import choose_backend
from hornbook.training import load, plain_files, run_training

SAMPLES = 4  # answers to each held-out exercise when the finished model is judged


def grpo(task: Task) -> dict[str, Any]:
    """Learn from rewards that a program checks (GRPO and its variants)."""
    recipe = task.recipe
    assert recipe.grpo is not None
    config = recipe.grpo
    start = task.input(start_of(recipe, "grpo")) / "model"
    model, tokenizer = load(start)
    backend = choose_backend(config.train, task.device)
    judge = judge_of(config)
    exercises, held_out, skipped = exercises_of(task, config)
    reference = None
    if config.kl:
        reference = load(start)[0].to(backend.device).requires_grad_(False)
    rollouts = Rollouts(
        model,
        tokenizer,
        exercises,
        config,
        recipe.seed,
        judge,
        reference,
        task.out,
        backend.autocast,
    )
    exam = examination(held_out, tokenizer, model.config.context_length, config, judge)

    def validate() -> dict[str, float]:
        rewards = exam.rewards(model)
        return {
            "validation_reward": float(rewards.mean()),
            "validation_solved": float((rewards >= SOLVED).mean()),
        }

    facts = run_training(
        task,
        model,
        policy_gradient(rollouts.banned, config),
        rollouts,
        config.train,
        backend,
        plain_files(model, tokenizer),
        validate if len(exam) else None,
        alarm=collapse_alarm(task.out / "metrics.jsonl", config),
    )
    for path in task.out.glob("rollouts-*.safetensors"):
        path.unlink()
    write_json(task.out / "faults.json", {"faults": judge.faults, "skipped": skipped})
    return {
        **facts,
        "variant": config.variant,
        "reward": config.reward,
        "exercises": len(rollouts.exercises),
        "held_out_exercises": len(exam),
        "skipped": len(skipped),
        "answers": config.train.steps // config.updates * config.prompts * config.group,
        "epochs": config.train.steps * config.prompts / len(rollouts.exercises),
    }


def grpo_results(task: Task) -> list[Result]:
    """What the policy solves of held-out exercises, before and after."""
    recipe = task.recipe
    assert recipe.grpo is not None
    before, tokenizer = load(task.input(start_of(recipe, "grpo")) / "model")
    after, _ = load(task.input("grpo") / "model")
    judge, length = judge_of(recipe.grpo), before.config.context_length
    _, held_out, _ = exercises_of(task, recipe.grpo)
    exam = examination(held_out, tokenizer, length, recipe.grpo, judge, SAMPLES)
    if not len(exam):
        return []
    first, last = exam.rewards(before), exam.rewards(after)
    return solved_results(first, last, "grpo, held-out exercises")


def judge_of(config: GRPOConfig) -> Judge:
    """The judge that ``config`` needs; tests are run only in a sandbox that holds."""
    if config.reward != "tests":
        return Judge()
    require()
    return Judge(workers=os.cpu_count() or 1)


def exercises_of(
    task: Task, config: GRPOConfig
) -> tuple[list[Exercise], list[Exercise], list[str]]:
    """Exercises to learn from, others to be judged by, and what could not be read."""
    assert task.recipe.sft is not None
    if config.path:
        return exercises_of_files(config, task.recipe.sft.data.holdout)
    chats = task.input("chatdata")
    train, held_out = (
        exercises_from(config, read_jsonl(chats / f"{name}.jsonl", Conversation))
        for name in ("sft", "sft_validation")
    )
    return train, held_out, []


def examination(
    held_out: list[Exercise],
    tokenizer: Tokenizer,
    length: int,
    config: GRPOConfig,
    judge: Judge,
    samples: int = 1,
) -> Examination:
    """The held-out exercises as ``config`` asks for them."""
    return Examination(
        held_out, tokenizer, length, config.max_tokens, config.judged, judge, samples
    )
