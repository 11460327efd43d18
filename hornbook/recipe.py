"""The recipe: one TOML file that describes a whole run.

This file only composes the settings that each room declares in its own ``config.py``,
loads them and applies ``--set key=value``. Reading order: :class:`Recipe`, :func:`load`.
"""

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from hornbook.align.config import (
    DPOConfig,
    GRPOConfig,
    PPOConfig,
    RewardConfig,
    SFTConfig,
)
from hornbook.core.errors import UserError
from hornbook.core.files import write_text
from hornbook.core.settings import Settings, parse, to_table
from hornbook.data.config import DataConfig
from hornbook.evaluate.config import EvaluateConfig
from hornbook.infer.config import SamplingConfig
from hornbook.model.check import check as check_model
from hornbook.model.config import ModelConfig
from hornbook.model.presets import preset
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.train.config import TrainConfig
from hornbook.train.parallel.config import ParallelConfig


class SamplesConfig(Settings, frozen=True):
    """What the model is asked to write along the way and at the end."""

    prompts: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()  # asked in chat form, once the model can chat
    sampling: SamplingConfig = SamplingConfig()  # of what follows a prompt
    answering: SamplingConfig = SamplingConfig(temperature=0.3)  # of answers


class Recipe(Settings, frozen=True):
    """Everything a run depends on. Stages without a table are left out of the run."""

    name: str
    data: DataConfig
    model: ModelConfig
    pretrain: TrainConfig
    seed: int = 1
    start: str = ""  # a model directory to go on from: its weights and tokenizer
    tokenizer: TokenizerConfig = TokenizerConfig()
    parallel: ParallelConfig | None = None  # how pretraining is shared out
    sft: SFTConfig | None = None
    dpo: DPOConfig | None = None
    reward: RewardConfig | None = None
    grpo: GRPOConfig | None = None
    ppo: PPOConfig | None = None
    samples: SamplesConfig = SamplesConfig()
    evaluate: EvaluateConfig = EvaluateConfig()


def load(name_or_path: str, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe by name (``hello``) or path (``my.toml``); apply ``key=value``s.

    Raises :class:`UserError` for a missing file, broken TOML, or settings that don't fit.
    """
    path = find(name_or_path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from None
    table.setdefault("name", path.stem)
    for override in overrides:
        set_key(table, override)
    expand_preset(table, str(path))
    recipe = parse(Recipe, table, str(path))
    check(recipe, str(path))
    return recipe


def expand_preset(table: dict[str, Any], where: str) -> None:
    """Replace ``model.preset`` in ``table`` by the settings it names, the others on top.

    The vocabulary stays the tokenizer's, unless the recipe sets it.
    """
    model = table.get("model")
    if not isinstance(model, dict) or "preset" not in model:
        return
    try:
        named = to_table(preset(str(model.pop("preset"))))
    except UserError as error:
        raise UserError(f"{where}: [model] {error}") from None
    table["model"] = _on_top(named | {"vocab_size": 0}, model)


def _on_top(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``, table by table."""
    both = {
        key: _on_top(base[key], value)
        for key, value in changes.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return base | changes | both


def find(name_or_path: str) -> Path:
    """The recipe file meant: an existing path, or a recipe that comes with Hornbook."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise UserError(
            f"There is no recipe file {path}; `hornbook new {path}` writes one."
        )
    shipped = shipped_recipes()
    if name_or_path in shipped:
        return shipped[name_or_path]
    raise UserError(
        f"There is no recipe '{name_or_path}'; the ones that come with Hornbook are "
        f"{', '.join(shipped)}, and your own are named by their path, ending in .toml."
    )


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with Hornbook."""
    folder = Path(str(resources.files("hornbook") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def set_key(table: dict[str, Any], override: str) -> None:
    """Apply one ``a.b.0.c=value`` to ``table`` in place.

    The value is read as TOML where it is valid TOML, else as plain text.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set takes key=value, not '{override}'.")
    *parents, last = key.strip().split(".")
    place: Any = table
    for part in parents:
        if isinstance(place, list):
            place = _item(place, part, key)
        elif isinstance(place, dict):
            place = place.setdefault(part, {})
        else:
            raise UserError(f"--set {key}: '{part}' lies inside a plain value.")
    value = parse_value(text.strip())
    if isinstance(place, list):
        _item(place, last, key)
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise UserError(f"--set {key}: '{last}' lies inside a plain value.")


def _item(items: list[Any], index: str, key: str) -> Any:
    if not index.isdigit() or int(index) >= len(items):
        raise UserError(
            f"--set {key}: there is no item '{index}' in a list of {len(items)}."
        )
    return items[int(index)]


def parse_value(text: str) -> Any:
    """``text`` as TOML reads it (3, true, "x"), or as it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def check(recipe: Recipe, where: str) -> None:
    """Refuse combinations that cannot work, before any of them has cost time."""
    try:
        check_model(msgspec.structs.replace(recipe.model, vocab_size=1))
    except UserError as error:
        raise UserError(f"{where}: [model] {error}") from None
    for name in ("dpo", "reward", "grpo", "ppo"):
        if getattr(recipe, name) and not recipe.sft:
            raise UserError(
                f"{where}: [{name}] starts from a fine-tuned model; add an [sft] table."
            )
    if recipe.ppo and recipe.ppo.reward == "model" and not recipe.reward:
        raise UserError(f"{where}: [ppo] asks a reward model; add a [reward] table.")
    if not recipe.name or "/" in recipe.name or recipe.name.startswith("."):
        raise UserError(
            f"{where}: 'name' must be a plain folder name, not '{recipe.name}'."
        )


def first_comment(path: Path) -> str:
    """The sentence a recipe opens with: what it is for."""
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def write_new(path: Path, text: str | None) -> None:
    """Write a commented recipe to ``path``; ``text`` is the file or folder it learns from.

    Raises :class:`UserError` where ``path`` exists already or doesn't end in .toml.
    """
    if path.suffix != ".toml":
        raise UserError(f"A recipe's name ends in .toml; try {path}.toml.")
    if path.exists():
        raise UserError(f"{path} exists already; choose another name or remove it.")
    source = text or "my-texts"
    template = (
        resources.files("hornbook") / "recipes" / "template" / "new.toml"
    ).read_text()
    named = template.replace("NAME", path.stem).replace('"TEXTS"', json.dumps(source))
    write_text(path, named)
