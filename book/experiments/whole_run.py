"""What chapter 16 says of recipes, computed: ``python -m book.experiments.whole_run``.

A few seconds, and nothing is trained. Writes ``book/artifacts/16/plan.json`` (the 124M run on
paper, by the same functions as ``hornbook plan``), ``rates.json`` (schedules) and
``stages.json`` (what a run consists of, and what a change of one key makes anew).
"""

import tempfile
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from book.experiments.record import record
from hornbook.core.settings import to_table
from hornbook.pipeline import make_plan as plan_stages
from hornbook.planning import look_ahead, shape_of, table_gpu
from hornbook.recipe import find, load
from hornbook.stages import stages_of
from hornbook.train.plan import memory
from hornbook.train.scaling import PUBLISHED
from hornbook.train.schedule import rate

MACHINES = ("H100", "H200", "B200", "A100", "L40S", "RTX 5090", "RTX 4090", "L4", "T4")
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48)
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"logit_chunk": 0},
    "chunked": {},
    "recompute": {"recompute": True},
}
CHANGES = (
    "samples.prompts=[]",
    "evaluate.ngram_order=6",
    "dpo.beta=0.2",
    "sft.train.steps=300",
    "pretrain.validate_every=100",
    "pretrain.steps=2000",
    "model.n_layers=6",
    "tokenizer.vocab_size=8192",
    "data.split.holdout=0.1",
    "seed=2",
)


def main() -> None:
    """The three files of the chapter."""
    record("16/plan.json", plan())
    record("16/rates.json", rates())
    record("16/stages.json", stages())


def plan() -> dict[str, Any]:
    """GPT-2's smallest shape on paper: memory, operations, and the cost on each machine."""
    recipe = load("gpt2-124m")
    outlooks = [look_ahead(recipe, "cpu", name, 0.0, 0.0) for name in MACHINES]
    shape, train = shape_of(recipe), recipe.pretrain
    first = outlooks[0].plan
    return {
        "parameters": first.parameters,
        "tokens": first.tokens,
        "flops": first.flops,
        "memory": first.memory,
        "total_memory": first.total_memory,
        "checkpoint": first.checkpoint,
        "machines": [
            {
                "name": name,
                "gigabytes": table_gpu(name).memory / 1e9,
                "fits": o.fits,
                "changes": o.changes,
                "tokens_per_second": o.cost.tokens_per_second,
                "seconds": o.cost.seconds,
                "kwh": o.cost.kwh,
                "dollars": o.cost.dollars,
            }
            for name, o in zip(MACHINES, outlooks, strict=True)
        ],
        "by_rows": {
            way: [
                (
                    rows,
                    sum(
                        memory(
                            shape,
                            msgspec.structs.replace(train, micro_batch=rows, **keys),
                            True,
                        ).values()
                    )
                    / 1e9,
                )
                for rows in ROWS
            ]
            for way, keys in WAYS.items()
        },
        "law": [
            (tokens, PUBLISHED.loss(first.parameters, tokens * 1e9))
            for tokens in (0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40)
        ],
        "law_floor": PUBLISHED.E + PUBLISHED.A / first.parameters**PUBLISHED.a,
        "settings": settings("gpt2-124m", ("model", "tokenizer", "pretrain")),
    }


def settings(name: str, tables: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every key of ``tables`` as the run sees it, and whether the recipe names it."""
    whole = to_table(load(name))
    typed = dict(_leaves(tomllib.loads(find(name).read_text(encoding="utf-8"))))
    return [
        {"key": key, "value": _shown(value), "typed": key in typed}
        for table in tables
        for key, value in _leaves(whole[table], table)
    ]


def _leaves(value: Any, key: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [
            leaf
            for name, inner in value.items()
            for leaf in _leaves(inner, f"{key}.{name}".strip("."))
        ]
    return [(key, value)]


def _shown(value: Any) -> str:
    return "unset" if value is None else msgspec.json.encode(value).decode()


def rates() -> dict[str, Any]:
    """The learning rate as a share of its peak, over the share of the steps done."""
    found = {}
    for name in ("hello", "shakespeare", "gpt2-124m"):
        train = load(name).pretrain
        marks = sorted({round(k * train.steps / 60) for k in range(61)} | {0, 1, 2})
        found[name] = [
            (step / train.steps, rate(step, train))
            for step in marks
            if step < train.steps
        ]
    wsd = msgspec.structs.replace(load("gpt2-124m").pretrain, schedule="wsd")
    found["wsd"] = [
        (k / 60, rate(min(k * wsd.steps // 60, wsd.steps - 1), wsd)) for k in range(61)
    ]
    return found


def stages() -> dict[str, Any]:
    """The stages of hello, and those that each change of a key makes anew."""
    with tempfile.TemporaryDirectory() as folder:
        before = _fingerprints((), Path(folder))
        redone = []
        for change in CHANGES:
            after = _fingerprints((change,), Path(folder))
            redone.append(
                {
                    "change": change,
                    "redone": [name for name in before if after[name] != before[name]],
                }
            )
    listed = [
        {"name": s.name, "needs": list(s.needs), "resumable": s.resumable}
        for s in stages_of(load("hello"))
    ]
    return {"stages": listed, "changes": redone}


def _fingerprints(changes: tuple[str, ...], run: Path) -> dict[str, str]:
    recipe = load("hello", changes)
    plans = plan_stages(recipe, stages_of(recipe), run)
    return {plan.stage.name: plan.fingerprint for plan in plans}


if __name__ == "__main__":
    main()
