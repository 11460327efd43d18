"""The stages of a run, in order: what each needs, depends on, and calls.

Rooms are imported inside the functions, so that planning a run (and finding that nothing is
to be done) never waits for torch.
"""

from pathlib import Path
from typing import Any

from hornbook.core.settings import to_table
from hornbook.pipeline import Stage, Task
from hornbook.recipe import Recipe
from hornbook.train.config import CADENCE, TrainConfig


def stages_of(recipe: Recipe) -> list[Stage]:
    """The stages ``recipe`` asks for, in an order in which each finds what it needs."""
    stages = [*DATA, TOKENIZER, SHARDS, PRETRAIN]
    if recipe.sft:
        stages += [CHATDATA, SFT]
    if recipe.dpo:
        stages.append(DPO)
    trained = tuple(
        stage.name for stage in stages if stage.name in ("pretrain", "sft", "dpo")
    )
    return [*stages, evaluate_stage(trained)]


def _weights_depend_on(train: TrainConfig) -> dict[str, Any]:
    """A training table without what only says how often to look."""
    return {k: v for k, v in to_table(train).items() if k not in CADENCE}


# ------------------------------------------------------------------------------- documents


def _outside(recipe: Recipe) -> Any:
    from hornbook.data.sources import probe

    return probe(recipe.data)


def _extract(task: Task) -> dict[str, Any]:
    from hornbook.data.extract import extract

    return extract(task.recipe.data, task.out)


def _filter(task: Task) -> dict[str, Any]:
    from hornbook.data.filters import filter_documents

    return filter_documents(task.recipe.data.filters, task.input("extract"), task.out)


def _dedup(task: Task) -> dict[str, Any]:
    from hornbook.data.dedup import dedup

    return dedup(task.recipe.data.dedup, task.input("filter"), task.out)


def _split(task: Task) -> dict[str, Any]:
    from hornbook.data.split import split

    return split(task.recipe.data.split, task.input("dedup"), task.out)


def _data_settings(*tables: str):
    """The settings of a data stage: the named tables of ``[data]``."""
    return lambda recipe: {"data": {t: to_table(recipe.data)[t] for t in tables}}


DATA = [
    Stage("extract", (), _data_settings("sources", "clean"), _extract, _outside),
    Stage("filter", ("extract",), _data_settings("filters"), _filter),
    Stage("dedup", ("filter",), _data_settings("dedup"), _dedup),
    Stage("split", ("dedup",), _data_settings("split"), _split),
]


FUNNEL = tuple(stage.name for stage in DATA)


# ------------------------------------------------------------------------ tokens and shards


def _tokenizer(task: Task) -> dict[str, Any]:
    from hornbook.data.documents import read_texts
    from hornbook.tokenizer.train import train_tokenizer

    tokenizer = train_tokenizer(
        task.recipe.tokenizer, read_texts(task.input("split") / "train")
    )
    tokenizer.save(task.out)
    return {"kind": task.recipe.tokenizer.kind, "vocab_size": tokenizer.vocab_size}


def _shards(task: Task) -> dict[str, Any]:
    from hornbook.data.shards import write_shards
    from hornbook.tokenizer.base import load_tokenizer

    tokenizer = load_tokenizer(task.input("tokenizer"))
    facts = {}
    for side in ("train", "validation"):
        (task.out / side).mkdir()
        facts[side] = write_shards(
            task.input("split") / side, tokenizer, task.out / side
        )
    return facts


TOKENIZER = Stage(
    "tokenizer", ("split",), lambda r: {"tokenizer": to_table(r.tokenizer)}, _tokenizer
)
SHARDS = Stage("shards", ("split", "tokenizer"), lambda r: {}, _shards)


# --------------------------------------------------------------------------------- training


def _pretrain(task: Task) -> dict[str, Any]:
    from hornbook.training import pretrain

    return pretrain(task)


def _chatdata(task: Task) -> dict[str, Any]:
    from hornbook.align.chat_data import build_chat_data

    assert task.recipe.sft is not None
    documents = task.input("split")
    return build_chat_data(
        task.recipe.sft.data, documents / "train", documents / "validation", task.out
    )


def _sft(task: Task) -> dict[str, Any]:
    from hornbook.training import sft

    return sft(task)


def _dpo(task: Task) -> dict[str, Any]:
    from hornbook.training import dpo

    return dpo(task)


def _pretrain_settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "seed": recipe.seed,
        "model": to_table(recipe.model),
        "pretrain": _weights_depend_on(recipe.pretrain),
    }


def _sft_settings(recipe: Recipe) -> dict[str, Any]:
    assert recipe.sft is not None
    return {"seed": recipe.seed, "sft": {"train": _weights_depend_on(recipe.sft.train)}}


def _dpo_settings(recipe: Recipe) -> dict[str, Any]:
    assert recipe.dpo is not None
    table = to_table(recipe.dpo)
    return {
        "seed": recipe.seed,
        "dpo": {**table, "train": _weights_depend_on(recipe.dpo.train)},
    }


def _chatdata_settings(recipe: Recipe) -> dict[str, Any]:
    assert recipe.sft is not None
    return {"sft": {"data": to_table(recipe.sft.data)}}


PRETRAIN = Stage(
    "pretrain", ("tokenizer", "shards"), _pretrain_settings, _pretrain, resumable=True
)
CHATDATA = Stage("chatdata", ("split",), _chatdata_settings, _chatdata)
SFT = Stage("sft", ("pretrain", "chatdata"), _sft_settings, _sft, resumable=True)
DPO = Stage("dpo", ("sft", "chatdata"), _dpo_settings, _dpo, resumable=True)


# ------------------------------------------------------------------------------- evaluation


def _evaluate(task: Task) -> dict[str, Any]:
    from hornbook.evaluation import evaluate

    return evaluate(task)


def _evaluate_settings(recipe: Recipe) -> dict[str, Any]:
    return {"evaluate": to_table(recipe.evaluate), "samples": to_table(recipe.samples)}


def evaluate_stage(trained: tuple[str, ...]) -> Stage:
    """Evaluation needs every model the run trains."""
    needs = ("split", "shards", *trained, *(["chatdata"] if "sft" in trained else []))
    return Stage("evaluate", needs, _evaluate_settings, _evaluate)


def model_directory(run: Path, stage: str | None = None) -> Path:
    """Where a run keeps its model: of ``stage``, or of the last one trained."""
    candidates = [stage] if stage else ["dpo", "sft", "pretrain"]
    for name in candidates:
        if (run / name / "model").is_dir():
            return run / name / "model"
    return run
