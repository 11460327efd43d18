"""Runs on the disk: which there are, how far they are, and the diary of a training."""

from pathlib import Path
from typing import Any

import msgspec

from hornbook.core.errors import UserError
from hornbook.core.files import read_json

CURVES = (  # of a record of metrics.jsonl, what is drawn
    *("loss", "validation_loss", "bits_per_byte", "rate", "gradient_norm"),
    *("tokens_per_second", "accuracy", "margin", "reward"),
)
MOST_POINTS = 1500  # of a curve; a screen has no more columns
MOST_EVENTS = 200
AT_ONCE = 64 << 20  # bytes of a diary read in one request


class Runs:
    """The runs that may be looked at: those served, and others in the same folders.

    A name outside of these is refused, so no request can name a path.
    """

    def __init__(self, served: list[Path], stages: tuple[str, ...]):
        self.stages = stages
        self._served = {run.name: run for run in served}

    def folders(self) -> dict[str, Path]:
        """Every run by name, the served ones first."""
        found = dict(self._served)
        for run in list(self._served.values()):
            for recipe in sorted(run.parent.glob("*/recipe.toml")):
                found.setdefault(recipe.parent.name, recipe.parent)
        return found

    def folder(self, name: str) -> Path:
        """The folder of one run. Raises :class:`UserError` for a name that is none."""
        found = self.folders().get(name)
        if found is None:
            raise UserError(f"There is no run '{name}' to look at.")
        return found

    def manifest(self, name: str, stage: str) -> dict[str, Any] | None:
        """What a finished stage of a run noted; None where it isn't finished."""
        path = self._stage(name, stage) / "manifest.json"
        return read_json(path) if path.exists() else None

    def overview(self) -> list[dict[str, Any]]:
        """Each run with the state of its stages."""
        return [
            {"name": name, "stages": [*self._states(folder)]}
            for name, folder in self.folders().items()
        ]

    def diary(self, name: str, stage: str, after: int) -> dict[str, Any]:
        """The curves and events noted after byte ``after``, and where to go on from.

        ``after`` past the end means that the diary began anew: then all of it comes.
        """
        path = self._diary(name, stage)
        if path is None:
            return {"curves": {}, "events": [], "samples": [], "after": 0, "anew": True}
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            start = after if after <= size else 0
            file.seek(start)
            data = file.read(AT_ONCE)
        whole = data[: data.rfind(b"\n") + 1]
        records = [*_records(whole)]
        return {
            "curves": _curves(records),
            "events": [_event(r) for r in records if "event" in r][-MOST_EVENTS:],
            "samples": [
                {"step": r["step"], **sample}
                for r in records
                for sample in r.get("samples", ())
            ],
            "after": start + len(whole),
            "anew": start != after,
        }

    def _stage(self, name: str, stage: str) -> Path:
        if stage not in self.stages:
            raise UserError(f"There is no stage '{stage}'.")
        return self.folder(name) / stage

    def _diary(self, name: str, stage: str) -> Path | None:
        done = self._stage(name, stage)
        under_way = done.with_name(f"{stage}.partial")
        paths = [under_way / "metrics.jsonl", done / "metrics.jsonl"]
        return next((path for path in paths if path.exists()), None)

    def _states(self, folder: Path) -> Any:
        for stage in self.stages:
            done, under_way = folder / stage, folder / f"{stage}.partial"
            manifest = done / "manifest.json"
            trains = any((d / "metrics.jsonl").exists() for d in (done, under_way))
            if under_way.is_dir():
                yield {"name": stage, "state": "under way", "trains": trains}
            elif manifest.exists():
                seconds = read_json(manifest)["seconds"]
                state = {"name": stage, "state": "done", "trains": trains}
                yield {**state, "seconds": seconds}


def run_of(path: Path) -> Path | None:
    """The run that a served path is, or lies in."""
    path = path.resolve()
    nearby = [path, *path.parents[:2]]
    return next((p for p in nearby if (p / "recipe.toml").exists()), None)


def _records(data: bytes) -> Any:
    for line in data.splitlines():
        try:
            yield msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # cut off by a kill


def _curves(records: list[dict[str, Any]]) -> dict[str, list[list[float]]]:
    """Points ``[step, value]`` of each curve, thinned evenly where there are too many."""
    found: dict[str, list[list[float]]] = {}
    for record in records:
        for key in CURVES:
            if isinstance(record.get(key), int | float):
                found.setdefault(key, []).append([record["step"], record[key]])
    return {key: _thinned(points) for key, points in found.items()}


def _thinned(points: list[list[float]]) -> list[list[float]]:
    every = -(-len(points) // MOST_POINTS)
    return points[::every] + (points[-1:] if (len(points) - 1) % every else [])


def _event(record: dict[str, Any]) -> dict[str, Any]:
    plain = {k: v for k, v in record.items() if isinstance(v, str | int | float)}
    return {"step": plain.pop("step", 0), "kind": plain.pop("event"), "facts": plain}
