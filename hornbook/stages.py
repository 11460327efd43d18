"""The stages of a run, in order: what each needs, depends on, and calls.

Rooms are imported inside the functions, so that planning a run (and finding that nothing is
to be done) never waits for torch.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hornbook.core.settings import to_table
from hornbook.pipeline import Stage, Task
from hornbook.post_stages import POLICIES, POST, post_stages, weights_depend_on
from hornbook.recipe import Recipe


def stages_of(recipe: Recipe) -> list[Stage]:
    """The stages ``recipe`` asks for, in an order in which each finds what it needs."""
    stages = [*data_stages(recipe), TOKENIZER, SHARDS, PRETRAIN, *post_stages(recipe)]
    trained = tuple(stage.name for stage in stages if stage.name in TRAINED)
    return [*stages, evaluate_stage(trained)]


TRAINED = ("pretrain", *POST)


# ------------------------------------------------------------------------------- documents


def data_stages(recipe: Recipe) -> list[Stage]:
    """From sources to held-out split; those without a table of their own are left out.

    Each reads the documents that the one before it left.
    """
    optional = ("classify", "decontaminate")
    names = [n for n in CURATION if n not in optional or getattr(recipe.data, n)]
    return [
        Stage(
            name,
            (before,) if before else (),
            _extract_settings
            if name == "extract"
            else _data_settings(TABLES.get(name, name)),
            _curate(name, before),
            OUTSIDE.get(name, lambda recipe: None),
            resumable=name in ("extract", "filter", "split"),
        )
        for before, name in zip(("", *names), names, strict=False)
    ]


CURATION = (*("extract", "filter", "dedup", "classify", "decontaminate", "split"),)
TABLES = {"filter": "filters"}  # else the stage's name


def _extract_settings(recipe: Recipe) -> dict[str, Any]:
    """The filters too, where they decide which pages are extracted with care."""
    judged = any(getattr(s, "html", "") == "two-pass" for s in recipe.data.sources)
    tables = ("sources", "clean", *(["filters"] if judged else []))
    return _data_settings(*tables)(recipe)


def _data_settings(*tables: str) -> Callable[[Recipe], dict[str, Any]]:
    """The settings of a data stage: the named tables of ``[data]``."""
    return lambda recipe: {"data": {t: to_table(recipe.data)[t] for t in tables}}


def _outside(recipe: Recipe) -> Any:
    from hornbook.data.read.sources import probe

    return probe(recipe.data)


def _earlier_runs(recipe: Recipe) -> Any:
    from hornbook.data.dedup.earlier_runs import fingerprint

    return fingerprint(recipe.data.dedup.against)


OUTSIDE = {"extract": _outside, "dedup": _earlier_runs}


def _curate(name: str, before: str) -> Callable[[Task], dict[str, Any]]:
    """The work of one data stage: a function of its settings and the documents before."""

    def work(task: Task) -> dict[str, Any]:
        from hornbook.data import engine
        from hornbook.data import split as splitting
        from hornbook.data.classify.stage import classify
        from hornbook.data.decontaminate import decontaminate
        from hornbook.data.dedup.stage import dedup
        from hornbook.data.filter.filters import filter_documents
        from hornbook.data.read.extract import extract

        data = task.recipe.data
        if name == "extract":
            with engine.using(data.engine):
                return extract(data, task.out)
        functions = {
            "filter": (
                partial(filter_documents, earlier=task.run / "filter"),
                data.filters,
            ),
            "dedup": (dedup, data.dedup),
            "classify": (classify, data.classify),
            "decontaminate": (decontaminate, data.decontaminate),
            "split": (splitting.split, data.split),
        }
        function, settings = functions[name]
        with engine.using(data.engine):
            return function(settings, task.input(before), task.out)

    return work


# ------------------------------------------------------------------------ tokens and shards


def _tokenizer(task: Task) -> dict[str, Any]:
    from hornbook.data.documents import read_documents, read_texts
    from hornbook.data.labels import labelled
    from hornbook.tokenizer.show import describe
    from hornbook.tokenizer.train import train_tokenizer

    split, start = task.input("split"), task.recipe.start
    if start:
        from hornbook.start import start_tokenizer

        tokenizer = start_tokenizer(Path(start))
    else:
        tokenizer = train_tokenizer(task.recipe.tokenizer, read_texts(split / "train"))
    tokenizer.save(task.out)
    held_out = ((d.source, d.text) for d in read_documents(split / "validation"))
    card = describe(tokenizer, labelled(held_out))
    card.save(task.out)
    return {
        "kind": card.kind,
        "vocab_size": card.vocab_size,
        "longest": card.longest,
        "unused": card.n_unused,
    }


def _shards(task: Task) -> dict[str, Any]:
    from hornbook.data.shards import write_shards
    from hornbook.tokenizer.base import load_tokenizer

    tokenizer = load_tokenizer(task.input("tokenizer"))
    facts = {}
    for side in ("train", "validation"):
        facts[side] = write_shards(
            task.input("split") / side, tokenizer, task.out / side
        )
    return facts


def _tokenizer_settings(recipe: Recipe) -> dict[str, Any]:
    return (
        {"start": recipe.start}
        if recipe.start
        else {"tokenizer": to_table(recipe.tokenizer)}
    )


def _start(recipe: Recipe) -> Any:
    """The model a run goes on from lies outside of it."""
    if not recipe.start:
        return None
    from hornbook.start import probe

    return probe(Path(recipe.start))


TOKENIZER = Stage("tokenizer", ("split",), _tokenizer_settings, _tokenizer, _start)
SHARDS = Stage("shards", ("split", "tokenizer"), lambda r: {}, _shards, resumable=True)


# --------------------------------------------------------------------------------- training


def _pretrain(task: Task) -> dict[str, Any]:
    from hornbook.training import pretrain

    return pretrain(task)


def _pretrain_settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "seed": recipe.seed,
        "data": {t: to_table(recipe.data)[t] for t in ("mixture", "packing")},
        "model": to_table(recipe.model),
        **({"start": recipe.start} if recipe.start else {}),
        "pretrain": weights_depend_on(recipe.pretrain),
    }


PRETRAIN = Stage(
    "pretrain",
    ("tokenizer", "shards"),
    _pretrain_settings,
    _pretrain,
    _start,
    resumable=True,
    joint=True,
)

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
    candidates = [stage] if stage else [*reversed(POLICIES), "pretrain"]
    for name in candidates:
        if (run / name / "model").is_dir():
            return run / name / "model"
    return run
