"""Learning from rewards: the policy writes answers, and those that did well get likelier.

``grpo`` compares the answers of a group with one another, ``ppo`` with what it expected.
Both start from the last policy before them.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from hornbook.align.config import GRPOConfig, PPOConfig, RolloutConfig
from hornbook.align.exercises import exercises_from, exercises_of_files
from hornbook.align.grpo import collapse_alarm, policy_gradient
from hornbook.align.judge import Exercise, Judge, Judging
from hornbook.align.messages import Conversation, read_jsonl, write_jsonl
from hornbook.align.model_judge import ModelJudge
from hornbook.align.ppo import (
    ActorCritic,
    PPORounds,
    load_value_head,
    ppo_objective,
    save_value_head,
)
from hornbook.align.rejection import Accepted, rejection_sample
from hornbook.align.reward import load_reward
from hornbook.align.rollouts import Rollouts, Rounds
from hornbook.align.solving import Examination, solved_results
from hornbook.core.errors import UserError
from hornbook.core.files import write_json
from hornbook.evaluate.results import Result
from hornbook.model.transformer import Transformer
from hornbook.pipeline import Task
from hornbook.post_stages import start_of
from hornbook.recipe import load as load_recipe
from hornbook.sandbox.run import require
from hornbook.stages import model_directory
from hornbook.tokenizer.base import Tokenizer, load_tokenizer
from hornbook.train.backend import Backend, choose_backend, choose_device
from hornbook.train.objective import Objective
from hornbook.training import Files, load, plain_files, run_training

SAMPLES = 4  # answers to each held-out exercise when the finished model is judged


def grpo(task: Task) -> dict[str, Any]:
    """Learn from rewards that a program checks (GRPO and its variants)."""
    config = task.recipe.grpo
    assert config is not None
    course = Course.of(task, "grpo", with_reference=config.kl > 0)
    rollouts = course.rounds(Rollouts, course.policy)
    objective = policy_gradient(rollouts.banned, config)
    files = plain_files(course.policy, course.tokenizer)
    facts = course.take(course.policy, objective, rollouts, files)
    return {**facts, "variant": config.variant}


def ppo(task: Task) -> dict[str, Any]:
    """Learn from rewards with a value of every place (PPO)."""
    config = task.recipe.ppo
    assert config is not None
    course = Course.of(task, "ppo", with_reference=True)
    model = ActorCritic(course.policy)
    rounds = course.rounds(PPORounds, model)
    plain = plain_files(course.policy, course.tokenizer)

    def write(copy: ActorCritic, directory: Path) -> None:
        plain.write(copy.body, directory)
        save_value_head(copy, directory)

    def read(directory: Path) -> None:
        plain.read(directory)
        load_value_head(model, directory)

    objective = ppo_objective(rounds.banned, config)
    return course.take(model, objective, rounds, Files(write, read))


AnyRounds = TypeVar("AnyRounds", bound=Rounds)


@dataclass(frozen=True)
class Course:
    """What learning from rewards needs before its first step, whatever the algorithm."""

    task: Task
    config: GRPOConfig | PPOConfig
    policy: Transformer
    tokenizer: Tokenizer
    reference: Transformer | None  # the policy as it is now, frozen
    backend: Backend
    judge: Judging
    exercises: list[Exercise]
    exam: Examination
    skipped: list[str]  # what could not be read

    @classmethod
    def of(cls, task: Task, name: str, with_reference: bool) -> "Course":
        """The course of the stage ``name``, from the model that it starts with."""
        config = getattr(task.recipe, name)
        start = task.input(start_of(task.recipe, name)) / "model"
        policy, tokenizer = load(start)
        backend = choose_backend(config.train, task.device)
        judge = judge_of(task, config)
        exercises, held_out, skipped = exercises_of(task, config)
        reference = None
        if with_reference:
            reference = load(start)[0].to(backend.device).requires_grad_(False)
        length = policy.config.context_length
        exam = examination(held_out, tokenizer, length, config, judge)
        return cls(
            task,
            config,
            policy,
            tokenizer,
            reference,
            backend,
            judge,
            exercises,
            exam,
            skipped,
        )

    def rounds(self, kind: type[AnyRounds], model: nn.Module) -> AnyRounds:
        """The batch source: ``model`` (or the policy inside it) answers, and is judged."""
        return kind(
            model,  # pyright: ignore[reportArgumentType]  (PPO's has the policy inside)
            self.tokenizer,
            self.exercises,
            self.config,
            self.task.recipe.seed,
            self.judge,
            self.reference,
            self.task.out,
            self.backend.autocast,
            self.backend.compile,
        )

    def take(
        self, model: nn.Module, objective: Objective, rounds: Rounds, files: Files
    ) -> dict[str, Any]:
        """Train; clear away what only a resumed training needs; what came of it."""
        config, out = self.config, self.task.out
        facts = run_training(
            self.task,
            model,
            objective,
            rounds,
            config.train,
            self.backend,
            files,
            self.exam.numbers(self.policy) if len(self.exam) else None,
            alarm=collapse_alarm(out / "metrics.jsonl", config),
        )
        for path in out.glob("rollouts-*.safetensors"):
            path.unlink()
        faults = getattr(self.judge, "faults", [])
        write_json(out / "faults.json", {"faults": faults, "skipped": self.skipped})
        n_rounds = -(-config.train.steps // config.updates)
        return {
            **facts,
            "reward": config.reward,
            "exercises": len(rounds.exercises),
            "held_out_exercises": len(self.exam),
            "skipped": len(self.skipped),
            "answers": n_rounds * config.prompts * config.group,
            "epochs": n_rounds * config.prompts / len(rounds.exercises),
        }


def solved(task: Task, name: str) -> list[Result]:
    """What ``grpo`` or ``ppo`` solves of held-out exercises, before and after."""
    config = getattr(task.recipe, name)
    before, tokenizer = load(task.input(start_of(task.recipe, name)) / "model")
    after, _ = load(task.input(name) / "model")
    judge, length = judge_of(task, config), before.config.context_length
    _, held_out, _ = exercises_of(task, config)
    exam = examination(held_out, tokenizer, length, config, judge, SAMPLES)
    if not len(exam):
        return []
    first, last = exam.rewards(before), exam.rewards(after)
    return solved_results(first, last, f"{name}, held-out exercises")


def judge_of(task: Task, config: RolloutConfig) -> Judging:
    """The judge that ``config`` needs; tests are run only in a sandbox that holds."""
    if config.reward == "model":
        directory = task.input("reward") / "model"
        model = load_reward(directory).to(choose_device(task.device)[0])
        return ModelJudge(model, load_tokenizer(directory))
    if config.reward != "tests":
        return Judge()
    require()
    return Judge(workers=os.cpu_count() or 1)


def exercises_of(
    task: Task, config: RolloutConfig
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
    config: RolloutConfig,
    judge: Judging,
    samples: int = 1,
) -> Examination:
    """The held-out exercises as ``config`` asks for them."""
    return Examination(
        held_out, tokenizer, length, config.max_tokens, config.judged, judge, samples
    )


def write_accepted(
    run: Path, out: Path, n: int, keep: int, limit: int, device: str
) -> Accepted:
    """Sample answers to the run's [grpo] exercises and write the good ones to ``out``.

    Raises :class:`UserError` for a run without that table, and when nothing was good.
    """
    recipe = load_recipe(str(run / "recipe.toml"))
    if recipe.grpo is None:
        raise UserError(f"{run} has no [grpo] table, which says what a good answer is.")
    task = Task(recipe, run, run, device)
    model, tokenizer = load(model_directory(run))
    model.to(choose_device(device)[0])
    exercises, _, _ = exercises_of(task, recipe.grpo)
    chosen = exercises[:limit] if limit else exercises
    judge, tokens = judge_of(task, recipe.grpo), recipe.grpo.max_tokens
    found = rejection_sample(model, tokenizer, chosen, judge, n, keep, tokens)
    if not found.conversations:
        raise UserError(f"None of {found.answers:,} answers was good; nothing written.")
    write_jsonl(out, found.conversations)
    return found
