"""The stages after pretraining: chat data, then whichever trainings the recipe has a table for.

A policy starts from the last policy before it: ``dpo`` from ``sft``, ``grpo`` from ``dpo``
or, without one, from ``sft``. The reward model is no policy; it starts from ``sft``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hornbook.core.settings import to_table
from hornbook.pipeline import Stage, Task
from hornbook.recipe import Recipe
from hornbook.train.config import CADENCE, TrainConfig

POST = ("sft", "dpo", "reward", "grpo", "ppo")  # in the order in which they are trained
POLICIES = ("sft", "dpo", "grpo", "ppo")  # those that can chat, the last one the best


def post_stages(recipe: Recipe) -> list[Stage]:
    """The stages of the tables after ``[pretrain]`` that ``recipe`` has."""
    if not recipe.sft:
        return []
    wanted = [name for name in POST if getattr(recipe, name)]
    return [
        CHATDATA,
        *(
            Stage(
                name,
                (start_of(recipe, name), "chatdata", *_judged_by(recipe, name)),
                _settings_of(name),
                WORK[name],
                _exercise_files(name),
                resumable=True,
            )
            for name in wanted
        ),
    ]


def start_of(recipe: Recipe, name: str) -> str:
    """The stage whose model the training called ``name`` begins with."""
    if name == "sft":
        return "pretrain"
    if name == "reward":
        return "sft"
    before = POLICIES[: POLICIES.index(name)]
    return next(policy for policy in reversed(before) if getattr(recipe, policy))


def _judged_by(recipe: Recipe, name: str) -> tuple[str, ...]:
    asks_model = name == "ppo" and recipe.ppo and recipe.ppo.reward == "model"
    return ("reward",) if asks_model else ()


def last_policy(recipe: Recipe) -> str:
    """The last model the run trains that can chat."""
    return next(name for name in reversed(POLICIES) if getattr(recipe, name))


def weights_depend_on(train: TrainConfig) -> dict[str, Any]:
    """A training table without what only says how often to look."""
    return {k: v for k, v in to_table(train).items() if k not in CADENCE}


def _settings_of(name: str) -> Callable[[Recipe], dict[str, Any]]:
    """What a training's weights depend on; the chat data is a stage of its own."""

    def settings(recipe: Recipe) -> dict[str, Any]:
        chosen = getattr(recipe, name)
        table = {k: v for k, v in to_table(chosen).items() if k != "data"}
        table["train"] = weights_depend_on(chosen.train)
        return {"seed": recipe.seed, name: table}

    return settings


def _chatdata_settings(recipe: Recipe) -> dict[str, Any]:
    assert recipe.sft is not None
    return {"sft": {"data": to_table(recipe.sft.data)}}


def _chat_files(recipe: Recipe) -> Any:
    assert recipe.sft is not None
    return _state(recipe.sft.data.path)


def _exercise_files(name: str) -> Callable[[Recipe], Any]:
    """What a training reads beyond the run: exercises, and a reward function's file."""

    def outside(recipe: Recipe) -> Any:
        table = getattr(recipe, name)
        own, _, _ = getattr(table, "reward", "").rpartition(".py:")
        paths = [getattr(table, "path", ""), f"{own}.py" if own else ""]
        states = [_state(path) for path in paths]
        return states if any(states) else None

    return outside


def _state(path: str) -> Any:
    """Changes with the files below ``path``: sizes and times; None without a path."""
    if not path:
        return None
    root = Path(path).expanduser()
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*"))
    return {
        str(file): [status.st_size, status.st_mtime_ns]
        for file in files
        if file.is_file() and (status := file.stat())
    }


def _chatdata(task: Task) -> dict[str, Any]:
    from hornbook.align.chat_data import build_chat_data

    assert task.recipe.sft is not None
    documents = task.input("split")
    return build_chat_data(
        task.recipe.sft.data, documents / "train", documents / "validation", task.out
    )


def _sft(task: Task) -> dict[str, Any]:
    from hornbook.tuning import sft

    return sft(task)


def _dpo(task: Task) -> dict[str, Any]:
    from hornbook.tuning import dpo

    return dpo(task)


def _reward(task: Task) -> dict[str, Any]:
    from hornbook.tuning import reward

    return reward(task)


def _grpo(task: Task) -> dict[str, Any]:
    from hornbook.reinforcing import grpo

    return grpo(task)


def _ppo(task: Task) -> dict[str, Any]:
    from hornbook.reinforcing import ppo

    return ppo(task)


WORK = {"sft": _sft, "dpo": _dpo, "reward": _reward, "grpo": _grpo, "ppo": _ppo}
CHATDATA = Stage("chatdata", ("split",), _chatdata_settings, _chatdata, _chat_files)
