"""What a cluster's commands need of a recipe: that it fits, and a share of a stage."""

import contextlib
import re
import time
from pathlib import Path

import msgspec

from hornbook.core.errors import UserError
from hornbook.core.files import read_json
from hornbook.data import units
from hornbook.pipeline import Task, begin, make_plan
from hornbook.planning import shape_of
from hornbook.recipe import Recipe
from hornbook.stages import CURATION, stages_of
from hornbook.train.parallel.config import ParallelConfig
from hornbook.train.parallel.layout import check, filled

SHARED = ("extract", "filter", "split")  # stages that are nothing but their units
PATIENCE = 120.0  # seconds until the first share has begun the stage


def check_fit(recipe: Recipe, processes: int) -> None:
    """Raise :class:`UserError` where ``[parallel]`` doesn't fit so many processes."""
    config = recipe.parallel or ParallelConfig()
    if processes > 1 and not config.auto:
        shape = msgspec.structs.replace(shape_of(recipe), vocab_size=1)
        check(filled(config, processes), shape, recipe.pretrain)


def do_share(recipe: Recipe, stage: str, share: str, runs: Path) -> str:
    """Do every n-th unit of ``stage``; returns a sentence about it.

    Share 0 begins the stage, the others wait for it. Raises :class:`UserError` for a stage
    that can't be shared out so, or whose predecessors aren't done.
    """
    asked = re.fullmatch(r"(\d+)/(\d+)", share)
    if not asked or int(asked[1]) >= int(asked[2]):
        raise UserError(f"--share is like 3/16, the fourth of sixteen, not '{share}'.")
    number, shares = int(asked[1]), int(asked[2])
    if stage not in SHARED:
        raise UserError(
            f"--stage {stage}: shares are for {', '.join(SHARED)}; `hornbook run` does "
            "the others, on a Ray cluster too (data.engine)."
        )
    run = runs / recipe.name
    plans = make_plan(recipe, [s for s in stages_of(recipe) if s.name in CURATION], run)
    for plan in plans:
        if plan.stage.name == stage:
            break
        if plan.why:
            raise UserError(
                f"{stage} needs {plan.stage.name}, which is not done: `hornbook run "
                f"... --until {plan.stage.name}` first."
            )
    if not plan.why:
        return f"{stage} is done already."
    partial = run / f"{stage}.partial"
    if number == 0:
        begin(plan, run)
    else:
        _wait_for(partial, plan.fingerprint)
    with units.share(number, shares) as done, contextlib.suppress(units.ShareDone):
        plan.stage.work(Task(recipe, partial, run))
    return f"{stage}: share {share} is done, {done.count} units."


def _wait_for(partial: Path, fingerprint: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        noted = partial / "intent.json"
        if (
            noted.exists()
            and read_json(noted).get("fingerprint") == fingerprint
            and (partial / units.FOLDER / "basis.json").exists()
        ):
            return
        time.sleep(0.2)
    raise UserError(f"{partial} was not begun within {PATIENCE:.0f} s; start share 0.")
