"""The run directory: stages that publish whole, skip what is current, and say why not.

    runs/hello/
        recipe.toml              the recipe as resolved
        extract/ filter/ ...     one directory per stage, each with a manifest.json
        pretrain.partial/        a stage under way, or cut off
        report.pdf report.json

A stage's *fingerprint* is the digest of everything it depends on: its settings, what lies
outside (its sources), and the fingerprints of the stages it needs. A manifest stores it; the
stage is current as long as it still agrees. This file knows no stage by name: ``stages.py``
lists them.
"""

import hashlib
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from hornbook import __version__
from hornbook.core.errors import UserError
from hornbook.core.files import (
    fresh_directory,
    publish_directory,
    read_json,
    sha256,
    write_json,
)
from hornbook.recipe import Recipe

UNITS = "units"  # where a stage notes which of its pieces are done
NOTES = ("intent.json", "manifest.json")  # about a result, not part of it


@dataclass(frozen=True)
class Stage:
    """One step of the way from text to model.

    ``settings(recipe)`` is the part of the recipe the result depends on, as a table;
    ``outside(recipe)`` a fingerprint of what it reads beyond the run; ``work(task)`` writes
    into ``task.out`` and returns facts for the manifest. A ``resumable`` stage finds in
    ``task.out`` what it left there when it was cut off.
    """

    name: str
    needs: tuple[str, ...]
    settings: Callable[[Recipe], dict[str, Any]]
    work: Callable[["Task"], dict[str, Any]]
    outside: Callable[[Recipe], Any] = lambda recipe: None
    resumable: bool = False
    joint: bool = False  # many processes do it together, where there are many


@dataclass(frozen=True)
class Task:
    """What a stage is given."""

    recipe: Recipe
    out: Path
    run: Path
    device: str = "auto"
    team: Any = None  # the other processes that do it too (train/team.py); None: alone

    def input(self, stage: str) -> Path:
        """The published directory of a stage this one needs."""
        return self.run / stage


@dataclass(frozen=True)
class Plan:
    """What is to be done about one stage. ``why`` is empty when it is current."""

    stage: Stage
    fingerprint: str
    basis: dict[str, Any]
    why: str


def make_plan(recipe: Recipe, stages: list[Stage], run: Path) -> list[Plan]:
    """Decide for every stage whether it is current, and if not, why."""
    plans: dict[str, Plan] = {}
    for stage in stages:
        basis = {
            "settings": stage.settings(recipe),
            "outside": stage.outside(recipe),
            "inputs": {need: plans[need].fingerprint for need in stage.needs},
        }
        fingerprint = _digest({"stage": stage.name, **basis})
        changed = [need for need in stage.needs if plans[need].why]
        why = _why(stage, fingerprint, basis, changed, run)
        plans[stage.name] = Plan(stage, fingerprint, basis, why)
    return list(plans.values())


def execute(plan: Plan, recipe: Recipe, run: Path, device: str) -> dict[str, Any]:
    """Do a stage's work in its ``.partial`` directory and publish it; gives the manifest."""
    stage = plan.stage
    partial = run / f"{stage.name}.partial"
    intent = partial / "intent.json"
    started = time.perf_counter()
    earlier = begin(plan, run)
    try:
        facts = stage.work(Task(recipe, partial, run, device))
    except BaseException:
        spent = time.perf_counter() - started
        _note_time(intent, earlier, spent)
        raise
    manifest = {
        "stage": stage.name,
        "fingerprint": plan.fingerprint,
        **plan.basis,
        "facts": facts,
        "started": earlier["started"],
        "seconds": earlier["seconds"] + time.perf_counter() - started,
        "starts": earlier["starts"] + 1,
        "versions": versions(),
    }
    manifest["files"] = _inventory(partial)
    write_json(partial / "manifest.json", manifest)
    publish_directory(partial, run / stage.name)
    # Only now: killed at any moment before, the stage finds all that it has done.
    (run / stage.name / intent.name).unlink()
    for notes in list((run / stage.name).rglob(UNITS)):
        shutil.rmtree(notes, ignore_errors=True)
    return manifest


def begin(plan: Plan, run: Path) -> dict[str, Any]:
    """Make ready the stage's ``.partial`` directory, with what is of use left in it.

    Returns what earlier attempts noted there: nothing yet, at the first.
    """
    stage, partial = plan.stage, run / f"{plan.stage.name}.partial"
    earlier = _intent(partial / "intent.json") if stage.resumable else {}
    if earlier.get("fingerprint") != plan.fingerprint:
        fresh_directory(partial)
        now = time.strftime("%Y-%m-%d %H:%M")
        earlier = {
            "fingerprint": plan.fingerprint,
            "started": now,
            "seconds": 0.0,
            "starts": 0,
            "settings": plan.basis["settings"],
        }
    write_json(partial / "intent.json", {**earlier, "starts": earlier["starts"] + 1})
    return earlier


def read_manifest(run: Path, stage: str) -> dict[str, Any] | None:
    """A published stage's manifest, or None when the stage has not been published."""
    path = run / stage / "manifest.json"
    return read_json(path) if path.exists() else None


def versions() -> dict[str, str]:
    """What this was made with."""
    packages = ("torch", "numpy", "numba", "pyarrow")
    return {
        "hornbook": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: metadata.version(name) for name in packages},
    }


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold ``run`` for this process alone; a second one is told so instead of mixing in."""
    run.mkdir(parents=True, exist_ok=True)
    with open(run / ".lock", "w") as handle:
        try:
            import fcntl
        except (
            ImportError
        ):  # Windows has no flock; two runs at once are then not caught
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"Another process is working on {run}; wait for it."
            ) from None
        yield


def _why(
    stage: Stage, fingerprint: str, basis: dict[str, Any], changed: list[str], run: Path
) -> str:
    """Why ``stage`` must run; empty when what is published was made from the same things."""
    manifest = read_manifest(run, stage.name)
    if manifest and manifest["fingerprint"] == fingerprint:
        return ""
    earlier = _intent(run / f"{stage.name}.partial" / "intent.json")
    if earlier.get("fingerprint") == fingerprint:
        return (
            "was cut off, goes on" if stage.resumable else "was cut off, starts again"
        )
    if stage.resumable and "settings" in earlier:
        _spare_what_was_trained(stage.name, run, earlier["settings"], basis["settings"])
    if not manifest:
        return "not done yet"
    changes = list(_changes(manifest["settings"], basis["settings"]))
    if changes:
        return "; ".join(changes[:3])
    if manifest["outside"] != basis["outside"]:
        return "the sources changed"
    return f"{changed[0]} is redone" if changed else "what it needs has changed"


def _spare_what_was_trained(
    stage: str, run: Path, before: dict[str, Any], now: dict[str, Any]
) -> None:
    """Refuse to throw away a training cut off under other settings; hours may be in it."""
    partial = run / f"{stage}.partial"
    steps = [int(p.name[5:]) for p in partial.glob("step-*") if p.name[5:].isdigit()]
    changes = list(_changes(before, now))
    if changes and max(steps, default=0):
        raise UserError(
            f"{partial} holds a training cut off after step {max(steps)} under other "
            f"settings ({'; '.join(changes[:3])}); change them back to go on with it, or "
            "remove that folder to start anew."
        )


def _changes(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """``key: old -> new`` for every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _changes(
                old.get(name), new.get(name), f"{key}.{name}".strip(".")
            )
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _changes(before, after, f"{key}.{index}")
    elif old != new:
        yield f"{key} {_brief(old)} -> {_brief(new)}"


def _brief(value: Any) -> str:
    text = "unset" if value is None else msgspec.json.encode(value).decode()
    return text if len(text) <= 40 else f"{text[:37]}..."


def _digest(value: Any) -> str:
    encoded = msgspec.json.encode(value, order="sorted")
    return hashlib.sha256(encoded).hexdigest()


def _intent(path: Path) -> dict[str, Any]:
    """What a stage under way noted about itself; nothing when it was cut off before that."""
    try:
        return read_json(path)
    except UserError:
        return {}


def _note_time(intent: Path, earlier: dict[str, Any], spent: float) -> None:
    """Remember the time of an interrupted attempt, so that a report can add it up."""
    note = {
        **earlier,
        "seconds": earlier["seconds"] + spent,
        "starts": earlier["starts"] + 1,
    }
    try:
        write_json(intent, note)
    except OSError:
        return  # the disk may be what failed; the error under way says more


def _inventory(directory: Path) -> dict[str, dict[str, Any]]:
    names = sorted(
        path.relative_to(directory) for path in directory.rglob("*") if path.is_file()
    )
    names = [n for n in names if n.parts[0] not in NOTES and UNITS not in n.parts]

    def facts(name: Path) -> dict[str, Any]:
        path = directory / name
        return {"bytes": path.stat().st_size, "sha256": sha256(path)}

    with ThreadPoolExecutor() as pool:
        return {
            name.as_posix(): found
            for name, found in zip(names, pool.map(facts, names), strict=True)
        }
